"""The papers' arms, trained: `training_arms` how, `watching` what is looked at beside the loss,
`recording` keeps each run."""
