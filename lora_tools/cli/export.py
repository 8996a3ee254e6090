"""`lora-lessons export`: an adapter for programs other than Python, and at a smaller rank."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lora_lessons.outside import in_line

from .as_json import AsJson, aside, written
from .options import EXIT_FAILED, EXIT_OK, absolute_path, exit_status, in_switches, names, path_or_name, shown

export = typer.Typer(
    name="export",
    help="Write an adapter for other programs, or at a smaller rank.",
    rich_markup_mode=None,
)

Adapter = Annotated[
    str,
    typer.Argument(
        parser=path_or_name,
        metavar="ADAPTER",
        help="A folder that save_adapter or PEFT wrote; adapters/wick is your newest of lessons 00 and 03.",
    ),
]
Base = Annotated[
    str | None,
    typer.Option(
        parser=path_or_name,
        metavar="BASE",
        help=(
            "A name that `lora-lessons base` lists, a folder, or a hub id; without it, what the adapter names, "
            "if that is on this machine."
        ),
    ),
]


@export.command(epilog=exit_status("export gguf"))
def gguf(
    adapter: Adapter,
    out: Annotated[Path, typer.Option(parser=absolute_path, metavar="DIR", help="Where the files go.")],
    base: Base = None,
    types: Annotated[
        str,
        typer.Option(
            metavar="T,T,…",
            help="Of the base: f32, f16, bf16, q8_0, or llama.cpp's own such as Q4_K_M; '' for no base.",
        ),
    ] = "f16",
    merged: Annotated[
        bool, typer.Option("--merged", help="Also the base with the adapter folded in, in each type.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    as_json: AsJson = False,
) -> int:
    """Write GGUF files for llama.cpp.

    These are the adapter, its base and, if you ask, the merged model. Its base must be a llama, mistral, qwen2 or
    qwen3; llama.cpp's own converter knows more, such as Gemma. No file is replaced unless you say so.
    """
    from ..exporting import gguf as llama

    with in_switches(), aside(as_json):
        files, notes = llama.export(adapter_folder(adapter), out, base, names(types), merged, overwrite=overwrite)
    return _written(files, notes, as_json)


@export.command(epilog=exit_status("export merged"))
def merged(
    adapter: Adapter,
    out: Annotated[Path, typer.Option(parser=absolute_path, metavar="DIR", help="The folder to write.")],
    base: Base = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace DIR if it exists.")] = False,
    as_json: AsJson = False,
) -> int:
    """Merge an adapter into its base: a Hugging Face folder.

    In bf16, with the tokenizer and its template, as vLLM, SGLang, MLX's and llama.cpp's converters read it. The base
    is one in 16 or 32 bits: a merge into 4 bits would be rounded away.
    """
    from ..exporting import merged as model

    with in_switches(), aside(as_json):
        files, notes = model.export(adapter_folder(adapter), out, base, overwrite=overwrite)
    return _written(files, notes, as_json)


@export.command(epilog=exit_status("export ollama"))
def ollama(
    adapter: Adapter,
    out: Annotated[Path, typer.Option(parser=absolute_path, metavar="DIR", help="The folder to write.")],
    base: Base = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The system message; without it, the base's own.")
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(parser=absolute_path, metavar="FILE", help="A Go template of your own; without it, one is found."),
    ] = None,
    type: Annotated[str, typer.Option(metavar="T", help="f32, f16, bf16 or q8_0.")] = "f16",
    create: Annotated[
        str | None, typer.Option(metavar="NAME", help="Also run `ollama create NAME`, where ollama is installed.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace DIR if it exists.")] = False,
    as_json: AsJson = False,
) -> int:
    """Write a folder for Ollama.

    It holds merged.gguf with Modelfile, and base.gguf and adapter.gguf with Modelfile.adapter.
    """
    from lora_lessons.files import read_text

    from ..exporting import gguf
    from ..exporting import ollama as llama

    go_template = read_text(template) if template else None
    if create is not None:
        llama.check_name(create)
    with in_switches(), aside(as_json):
        read, folder = gguf.adapter_and_base(adapter_folder(adapter), base)
        made = llama.write(out, folder, read, system, file_type=type, template=go_template, overwrite=overwrite)
    if as_json:
        created = llama.try_create(made.folder, create) if create is not None else None
        print(
            written(sorted(made.folder.iterdir()), [*made.remarks, *([created.says] if created else [])], made.commands)
        )
        return EXIT_FAILED if created and not created.ok else EXIT_OK
    print(
        *(f"{shown(file)}  {file.stat().st_size / 1e6:.1f} MB" for file in sorted(made.folder.glob("*.gguf"))), sep="\n"
    )
    print(
        f"TEMPLATE: {made.template}, renders as the base's own chat template. SYSTEM: {in_line(made.system or 'none')}"
    )
    _say_notes(made.remarks)
    print("To use it:", *made.commands, sep="\n    ")
    if create is None:
        return EXIT_OK
    created = llama.try_create(made.folder, create)
    print(created.says)
    return EXIT_OK if created.ok else EXIT_FAILED


@export.command(epilog=exit_status("export formats"))
def formats(
    adapter: Adapter,
    out: Annotated[Path, typer.Option(parser=absolute_path, metavar="DIR", help="Where the models and the table go.")],
    base: Base = None,
    formats: Annotated[
        str,
        typer.Option(
            metavar="F,F,…",
            help="gguf (all four), gguf-f16, gguf-q8_0, gguf-q4_k_m, gguf-q4_0, gptq, awq, hqq, exl2.",
        ),
    ] = "gguf,gptq,awq,hqq,exl2",
    calibrate: Annotated[
        list[Path] | None,
        typer.Option(
            parser=absolute_path,
            metavar="FILE",
            help="Text for GPTQ and AWQ: conversations (.jsonl) or paragraphs; repeat it for several files. "
            "Without it, the tasks' training sets.",
        ),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Also write the table that lesson 10 quotes as recorded.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what DIR holds of an earlier export.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Write GGUF, GPTQ, AWQ, HQQ and EXL2, measured.

    The merged model in each format: made by its real tool, in an environment of its own, loaded back, measured.
    """
    from ..exporting import formats as tools

    with in_switches(), aside(as_json):
        rows = tools.export(adapter_folder(adapter), out, names(formats), base, calibrate, overwrite=overwrite)
    failed = [row["format"] for row in rows if row["status"] == tools.FAILED]
    said = [*map(tools.table.line, rows), tools.table.BASE_NOTE]
    if as_json:
        print(written(sorted(file for file in out.rglob("*") if file.is_file()), said))
    else:
        print(*said, f"Written to {shown(out / tools.table.TABLE)}", sep="\n")
    if record:
        if failed:
            raise ValueError(f"not recorded, since {', '.join(failed)} failed: mend that, and record again.")
        tools.table.record(out)
    return EXIT_FAILED if failed else EXIT_OK


@export.command(epilog=exit_status("export rank"))
def rank(
    adapter: Adapter,
    r: Annotated[int, typer.Option("--r", metavar="N", help="The rank to cut to.")],
    out: Annotated[
        Path | None,
        typer.Option(
            parser=absolute_path,
            metavar="DIR",
            help="The folder to write; without it, ADAPTER-rN in the folder where you are.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace DIR if it exists.")] = False,
    as_json: AsJson = False,
) -> int:
    """Cut an adapter to a smaller rank.

    Of each update ΔW = scale·B·A, the N strongest directions are left (SVD), in PEFT's format and with the same scale.
    The table says how much of ‖ΔW‖² that is, for each kind of matrix. The adapter itself stays as it is.
    """
    from ..exporting import rank as smaller

    folder = adapter_folder(adapter)
    with in_switches():
        cut = smaller.export(folder, r, out or Path.cwd() / f"{folder.resolve().name}-r{r}", overwrite=overwrite)
    if as_json:
        print(written(sorted(cut.folder.iterdir()), smaller.in_words(cut).splitlines()))
        return EXIT_OK
    print(smaller.in_words(cut))
    print(f"Written to {in_line(str(shown(cut.folder)))}")
    return EXIT_OK


def adapter_folder(name: str) -> Path:
    """A path, or the name of something that a lesson kept for the learner,
    or in the report of a run from this folder."""
    from lora_lessons.course import newest_folder

    from .run import REPORT

    if Path(name).exists():
        return Path(name)
    return newest_folder(name) or newest_folder(name, REPORT) or Path(name)


def _written(files: list[Path], notes: list[str], as_json: bool) -> int:
    """Say which files were written, and what to know of them."""
    if as_json:
        print(written(files, notes))
        return EXIT_OK
    _say_notes(notes)
    print(*(f"{shown(path)}  {path.stat().st_size / 1e6:.1f} MB" for path in files), sep="\n")
    return EXIT_OK


def _say_notes(notes: list[str]) -> None:
    for sentence in notes:
        print(f"Note: {sentence}")
