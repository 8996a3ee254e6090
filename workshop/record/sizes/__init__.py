"""Every claim asked again at several sizes: `asked` orders the cells, `measures` measures one,
`running` and `process` go on where a run was."""
