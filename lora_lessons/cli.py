"""The command: lora-lessons run | sweep | plan | bench | adapters | export | doctor | lab | claims. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__

if TYPE_CHECKING:
    from .run.result import LessonResult

EXIT_OK, EXIT_FAILED, EXIT_DEVIATES, EXIT_USER, EXIT_INTERRUPTED = 0, 1, 2, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status. What the user can mend is one sentence on stderr, no traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    split = words.index("--") if "--" in words else len(words)
    parser = _parser()
    options = parser.parse_args(words[:split])
    options.rest = words[split + 1 :]
    if options.rest and options.command is not _lab:
        parser.error("only `lora-lessons lab` passes on what follows --.")
    try:
        return options.command(options)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever read our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except (OSError, ValueError) as error:
        print(f"lora-lessons: {error}", file=sys.stderr)
    except RuntimeError as error:
        from .errors import ModelError

        if not isinstance(error, ModelError):
            raise
        print(f"lora-lessons: {error}", file=sys.stderr)
    return EXIT_USER


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lora-lessons", description=__doc__.partition(". ")[0] + ".")
    parser.add_argument("--version", action="version", version=f"lora-lessons {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run", help="execute lessons and write a report", description="Execute lessons with papermill."
    )
    run.add_argument(
        "lessons", nargs="*", metavar="LESSON", help="a name, a number such as 03, or a path; none means all"
    )
    run.add_argument("--profile", choices=["quick", "full"], default="quick", help="how much work (default: quick)")
    run.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
                     help="set a parameter of the lessons; records are then not judged")  # fmt: skip
    run.add_argument("--out", type=Path, default=Path("course-report"), metavar="DIR", help="default: course-report")
    run.add_argument("--update-baselines", action="store_true", help="run once a seed and rewrite data/baselines")
    run.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds for --update-baselines (default: 3)")
    run.add_argument("--update-notebooks", action="store_true", help="store the outputs in notebooks/ when all is well")
    run.set_defaults(command=_run)

    sweep = commands.add_parser("sweep", help="train once for each rank, alpha and seed: one table and one figure",
                                description="Run notebooks/experiments/train_adapter.ipynb once for each setting.")  # fmt: skip
    sweep.add_argument("--r", type=_list_of(int), default=[1, 2, 4, 8, 16, 32, 64], metavar="R,R,…", help="ranks")
    sweep.add_argument("--alpha", type=_list_of(str), default=["2x"], metavar="A,A,…",
                       help="lora_alpha: numbers, or multiples of r such as 2x (default: 2x)")  # fmt: skip
    sweep.add_argument("--lr", type=_list_of(float), default=[4e-3], metavar="LR,LR,…", help="default: 4e-3")
    sweep.add_argument("--method", type=_list_of(str), default=["lora"], metavar="M,M,…",
                       help="lora, rslora, lora+, dora, pissa (default: lora)")  # fmt: skip
    sweep.add_argument(
        "--targets", default="all-linear", metavar="NAMES", help="one set of target_modules, e.g. q_proj,v_proj"
    )
    sweep.add_argument("--base", type=_list_of(str), default=["16-bit"], metavar="B,B,…",
                       help="how the frozen base is kept: 16-bit, nf4, nf4+double, fp4, int4 (default: 16-bit)")  # fmt: skip
    sweep.add_argument("--seeds", type=int, default=3, metavar="N", help="default: 3")
    sweep.add_argument("--seed", type=int, metavar="S", help="this seed alone, in place of --seeds")
    sweep.add_argument("--steps", type=int, default=24, metavar="N", help="default: 24")
    sweep.add_argument("--batch-size", type=int, default=4, metavar="N", help="examples a step (default: 4)")
    sweep.add_argument("--out", type=Path, default=Path("sweep"), metavar="DIR", help="default: sweep")
    sweep.add_argument(
        "--resume", action="store_true", help="skip the runs that DIR holds already; failed ones are tried again"
    )
    sweep.add_argument(
        "--keep-adapters", action="store_true", help="keep each run's adapter in its folder, in PEFT's format"
    )
    sweep.set_defaults(command=_sweep)

    plan = commands.add_parser("plan", help="what training a model takes, line by line, and whether a card has it",
                               description="Predict a training step's memory from a model's configuration alone.")  # fmt: skip
    plan.add_argument("model", metavar="MODEL",
                      help="Llama-2-7B, Mistral-7B, Qwen2.5-7B, embedded, a folder with config.json, or a hub id")  # fmt: skip
    plan.add_argument("--gpu", metavar="CARD", help='a card such as "RTX 4090", or its GB (default: the one here)')
    plan.add_argument("--method", default="qlora", metavar="M", help="qlora, lora, full or full fp32 (default: qlora)")
    plan.add_argument("--r", type=int, default=16, metavar="R", help="default: 16")
    plan.add_argument("--targets", default="all-linear", metavar="NAMES", help="all-linear, or such as q_proj,v_proj")
    plan.add_argument("--seq", type=int, default=1024, metavar="N", help="tokens in a sequence (default: 1024)")
    plan.add_argument("--batch-size", type=int, default=1, metavar="N", help="sequences a step (default: 1)")
    plan.add_argument("--gradient-checkpointing", action=argparse.BooleanOptionalAction, default=True,
                      help="compute each block again on the way back (default: yes)")  # fmt: skip
    plan.add_argument("--optimizer", default="adamw", metavar="O",
                      help="adamw, adamw_fused, adamw_8bit, paged_adamw or paged_adamw_8bit (default: adamw)")  # fmt: skip
    plan.add_argument("--json", action="store_true", help="print JSON instead of a table")
    plan.set_defaults(command=_plan)

    bench = commands.add_parser("bench", help="measure: memory (the ledger, predicted beside measured), or quantize")
    bench.add_argument("what", choices=["memory", "quantize"], metavar="memory|quantize",
                       help="predicted, measured and error, setting by setting; or our NF4 beside bitsandbytes'")  # fmt: skip
    bench.add_argument(
        "--model", metavar="MODEL", help="default: Qwen2.5-7B on a card, SmolLM2-135M's shape without one"
    )
    bench.add_argument("--out", type=Path, metavar="FILE", help="default: data/measurements/ledger_<card>.json")
    bench.set_defaults(command=_bench)

    shelf = commands.add_parser("adapters", help="train and score the course's own adapters",
                                description="Train the adapters of lesson 09 and write them in PEFT's format, 16-bit.")  # fmt: skip
    shelf.add_argument(
        "tasks", nargs="*", metavar="TASK", help="persona, plain_language, code_style, strict_json (default: all)"
    )
    shelf.add_argument("--out", type=Path, metavar="DIR", help="default: data/adapters, for maintainers")
    shelf.add_argument("--seed", type=int, default=0, metavar="S", help="default: 0")
    shelf.set_defaults(command=_adapters)

    export = commands.add_parser(
        "export", help="an adapter for other programs: gguf (llama.cpp), ollama, formats (GPTQ, AWQ, HQQ …)"
    )
    formats = export.add_subparsers(required=True, metavar="FORMAT")
    gguf = formats.add_parser("gguf", help="adapter, base and merged model as GGUF, for llama.cpp",
                              description="Write an adapter and its base as GGUF. No file is replaced unless you say so.")  # fmt: skip
    _export_arguments(gguf, "where the files go", "replace files that exist")
    gguf.add_argument("--types", type=_list_of(str), default=["f16"], metavar="T,T,…",
                      help="of the base: f32, f16, bf16, q8_0, or llama.cpp's own such as Q4_K_M; '' for none (default: f16)")  # fmt: skip
    gguf.add_argument("--merged", action="store_true", help="also the base with the adapter folded in, in each type")
    gguf.set_defaults(command=_export_gguf)

    ollama = formats.add_parser("ollama", help="a folder for Ollama: model files and Modelfiles, checked",
                                description="Write merged.gguf with Modelfile, and base.gguf and adapter.gguf with Modelfile.adapter.")  # fmt: skip
    _export_arguments(ollama, "the folder to write", "replace DIR if it exists")
    ollama.add_argument("--system", metavar="TEXT", help="the system message (default: the base's own)")
    ollama.add_argument("--template", type=Path, metavar="FILE", help="a Go template of your own (default: found)")
    ollama.add_argument("--type", default="f16", metavar="T", help="f32, f16, bf16 or q8_0 (default: f16)")
    ollama.add_argument("--create", metavar="NAME", help="also run `ollama create NAME`, where ollama is installed")
    ollama.set_defaults(command=_export_ollama)

    others = formats.add_parser("formats", help="the merged model as GGUF, GPTQ, AWQ, HQQ, EXL2: made, loaded back, measured",
                                description="Merge, quantize with the real tools, load back, measure. Each tool gets an environment of its own.")  # fmt: skip
    _export_arguments(others, "where the models and the table go", "replace what DIR holds of an earlier export")
    others.add_argument("--formats", type=_list_of(str), default=["gguf", "gptq", "awq", "hqq", "exl2"], metavar="F,F,…",
                        help="gguf (all four), gguf-f16, gguf-q8_0, gguf-q4_k_m, gguf-q4_0, gptq, awq, hqq, exl2 (default: all)")  # fmt: skip
    others.add_argument("--calibrate", type=Path, nargs="+", metavar="FILE",
                        help="text for GPTQ and AWQ: conversations (.jsonl) or paragraphs (default: the tasks' training sets)")  # fmt: skip
    others.add_argument("--record", action="store_true", help="also write the table that lesson 11 quotes as recorded")
    others.set_defaults(command=_export_formats)

    doctor = commands.add_parser("doctor", help="what this machine can do, and how each lesson will run on it")
    doctor.add_argument("--json", action="store_true", help="print JSON instead of a table")
    doctor.set_defaults(command=_doctor)

    lab = commands.add_parser("lab", help="copy the lessons to my_lessons/ and open JupyterLab",
                              epilog="What follows -- goes to jupyter lab, e.g. -- --no-browser --port 8899.")  # fmt: skip
    lab.add_argument("lesson", nargs="?", default="00", metavar="LESSON", help="the lesson to open (default: 00)")
    lab.set_defaults(command=_lab)

    badges = commands.add_parser("badges", help="write the repository's address into every badge and set-up cell")
    badges.add_argument(
        "address", nargs="?", metavar="ADDRESS", help="https://github.com/OWNER/NAME; none: pyproject's"
    )
    badges.set_defaults(command=_badges)

    claims = commands.add_parser(
        "claims", help="the glossary's claims, and whether the baselines bear the verdicts out"
    )
    claims.set_defaults(command=_claims)
    return parser


def _run(options: argparse.Namespace) -> int:
    from .run import runner

    given = {name: _scalar(value) for name, value in options.parameter}
    if given and (options.update_baselines or options.update_notebooks):
        raise ValueError("baselines and stored outputs are made with the lessons' own parameters: leave -p away.")
    if options.seeds < 1:
        raise ValueError("--seeds is the number of seeds to run, 1 at least (3 is a usual number).")
    lessons = runner.find_lessons(options.lessons)
    if not lessons:
        raise FileNotFoundError("there are no lessons in notebooks/: is the checkout complete?")
    anew = options.update_baselines
    results = runner.run(lessons, options.profile, given, options.out, judge=not anew, fresh=anew)
    worst = _exit_status(results)
    if options.update_baselines:
        worst = max(worst, _update_baselines(results, lessons, options))
    if options.update_notebooks:
        worst = max(worst, _update_notebooks(results, lessons))
    print(f"Report: {options.out / 'report.html'}")
    return worst


ADAPTER = "a folder that save_adapter or PEFT wrote; adapters/wick: your newest of lesson 03"


def _export_arguments(parser: argparse.ArgumentParser, out: str, overwrite: str) -> None:
    """What every export is asked; `out` and `overwrite` say what these do in this one."""
    parser.add_argument("adapter", type=_adapter, metavar="ADAPTER", help=ADAPTER)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=out)
    parser.add_argument(
        "--base", metavar="BASE", help="embedded, a folder, or a hub id (default: what the adapter names)"
    )
    parser.add_argument("--overwrite", action="store_true", help=overwrite)


def _adapter(text: str) -> Path:
    """A path, or the name of something that a lesson kept for the learner."""
    from .course import newest_folder

    return Path(text) if Path(text).exists() else newest_folder(text) or Path(text)


def _list_of(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """A reader of "1,2,4" for argparse, which says what is wrong when a part is not of `kind`."""

    def read(text: str) -> list[Any]:
        try:
            return [kind(part.strip()) for part in text.split(",") if part.strip()]
        except ValueError as error:
            what = "whole numbers" if kind is int else "numbers"
            raise argparse.ArgumentTypeError(f"{text!r}: give {what}, separated by commas.") from error

    return read


def _sweep(options: argparse.Namespace) -> int:
    from .experiments import sweep
    from .run import runner

    settings = sweep.grid(
        options.r, options.alpha, options.seeds if options.seed is None else [options.seed], methods=options.method, learning_rates=options.lr,
        target_modules=options.targets, steps=options.steps, batch_size=options.batch_size, bases=options.base,
    )  # fmt: skip
    rows = sweep.run(settings, options.out, resume=options.resume, keep_adapters=options.keep_adapters)
    failed = [row for row in rows if row["status"] != runner.OK]
    figure = f", {sweep.FIGURE}" if (options.out / sweep.FIGURE).exists() else ""  # one setting alone has none
    print(f"{len(rows) - len(failed)} runs finished, {len(failed)} failed: {options.out / sweep.TABLE}{figure}")
    return EXIT_FAILED if failed else EXIT_OK


def _scalar(text: str) -> Any:
    """A value as papermill's command line reads it: a number, True, False, None, or the text itself."""
    named = {"True": True, "true": True, "False": False, "false": False, "None": None}
    if text in named:
        return named[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _exit_status(results: Sequence[LessonResult]) -> int:
    statuses = {result.status for result in results}
    return EXIT_FAILED if "failed" in statuses else EXIT_DEVIATES if "deviates" in statuses else EXIT_OK


def _update_baselines(first: list[LessonResult], lessons: list[Path], options: argparse.Namespace) -> int:
    """Run the lessons with the other seeds, and rewrite the baseline of each that ran with all of them."""
    from .run import baselines, runner

    by_seed = [first]
    for seed in range(1, options.seeds):
        print(f"Seed {seed}:", file=sys.stderr)
        folder = options.out / f"seed-{seed}"
        by_seed.append(runner.run(lessons, options.profile, {"seed": seed}, folder, judge=False, fresh=True))
    status = EXIT_OK
    for runs in zip(*by_seed, strict=True):
        lesson = runs[0].lesson
        if any(result.status != "ok" for result in runs):
            print(f"{lesson}: failed with at least one seed; its baseline stays as it was.")
            status = EXIT_FAILED
            continue
        try:
            lines = baselines.update(
                lesson,
                options.profile,
                [result.records for result in runs],
                seconds=runs[0].seconds,
                peak_ram_bytes=max(result.peak_ram_bytes for result in runs),
            )
        except ValueError as error:
            print(f"{error} Its baseline stays as it was.")
            status = EXIT_FAILED
            continue
        print(f"{lesson}: baseline rewritten from {len(runs)} seeds", *lines, sep="\n")
    return status


def _update_notebooks(results: Sequence[LessonResult], lessons: Sequence[Path]) -> int:

    from .run import stored

    status = EXIT_OK
    for result, lesson in zip(results, lessons, strict=True):
        if result.status != "ok" or result.notebook is None:
            print(f"{lesson.name}: {result.status}; its stored outputs stay as they were.")
            continue
        try:
            changed = stored.store_outputs(lesson, result.notebook)
        except ValueError as error:
            print(f"lora-lessons: {lesson.name}: {error}", file=sys.stderr)
            status = EXIT_FAILED
            continue
        print(f"{lesson.name}: {'outputs stored' if changed else 'outputs are already these'}.")
    return status


def _plan(options: argparse.Namespace) -> int:
    from . import memory, models

    targets: Any = options.targets
    if targets != "all-linear":
        targets = tuple(part.strip() for part in targets.split(",") if part.strip())
    job = memory.Job(
        options.method, options.r, targets, options.seq, batch_size=options.batch_size,
        gradient_checkpointing=options.gradient_checkpointing, optimizer=options.optimizer,
    )  # fmt: skip
    if options.gpu is not None:
        card, room = memory.find_card(options.gpu)
    elif (here := models.card()) is not None:
        card, room = here
    else:
        card, room = "", float("inf")
    shape = memory.shape_of(options.model)
    if not card:
        ledger = memory.predict(shape, job)
        fits = [name for name in memory.CARDS if ledger.bill.total <= memory.card_bytes(name)]
        says = (
            f"No card here. It would fit on: {', '.join(fits) or 'none of the cards known here'}. Name one with --gpu."
        )
        made = None
    else:
        made = memory.plan(shape, job, room)
        ledger, says = made.ledger, memory.verdict(made, card)
    if options.json:
        print(json.dumps(memory.as_json(shape, job, ledger, made, card), indent=1, ensure_ascii=False))
        return EXIT_OK
    print(f"{shape.name}: {memory.describe(job)}", memory.bill_table(ledger), says, memory.ASSUMED, sep="\n")
    return EXIT_OK


def _bench(options: argparse.Namespace) -> int:

    from .experiments import ledger, speed

    if options.what == "quantize":
        speed.quantize()
        return EXIT_OK
    rows = ledger.measure_all(options.model, options.out)
    return EXIT_OK if any(row["status"] == ledger.OK for row in rows) else EXIT_FAILED


def _adapters(options: argparse.Namespace) -> int:

    from .experiments import course_adapters

    course_adapters.make(options.tasks or tuple(course_adapters.ABOUT), options.out, options.seed)
    return EXIT_OK


def _export_gguf(options: argparse.Namespace) -> int:
    from .export import gguf

    files, findings = gguf.export(
        options.adapter, options.out, options.base, options.types, options.merged, overwrite=options.overwrite
    )
    print(*(f"Note: {sentence}" for sentence in findings), sep="\n", end="\n" * bool(findings))
    print(*(f"{path}  {path.stat().st_size / 1e6:.1f} MB" for path in files), sep="\n")
    return EXIT_OK


def _export_ollama(options: argparse.Namespace) -> int:
    from .export import gguf, ollama

    adapter, base = gguf.adapter_and_base(options.adapter, options.base)
    template = options.template and options.template.read_text(encoding="utf-8")
    made = ollama.write(
        options.out, base, adapter, options.system, file_type=options.type, template=template, overwrite=options.overwrite
    )  # fmt: skip
    print(*(f"{file}  {file.stat().st_size / 1e6:.1f} MB" for file in sorted(made.folder.glob("*.gguf"))), sep="\n")
    print(f"TEMPLATE: {made.template}, renders as the base's own chat template. SYSTEM: {made.system or 'none'}")
    print(*(f"Note: {remark}" for remark in made.remarks), sep="\n", end="\n" * bool(made.remarks))
    print("To use it:", *made.commands, sep="\n    ")
    if options.create:
        created = ollama.try_create(made.folder, options.create)
        print(created.says)
        return EXIT_OK if created.ok else EXIT_FAILED
    return EXIT_OK


def _export_formats(options: argparse.Namespace) -> int:
    from .export import formats

    rows = formats.export(
        options.adapter, options.out, options.formats, options.base, options.calibrate, overwrite=options.overwrite
    )
    failed = [row["format"] for row in rows if row["status"] == formats.FAILED]
    print(*map(formats.table.line, rows), formats.table.BASE_NOTE, sep="\n")
    print(f"Written to {options.out / formats.table.TABLE}")
    if options.record:
        if failed:
            raise ValueError(f"not recorded, since {', '.join(failed)} failed: mend that, and record again.")
        formats.table.record(options.out)
    return EXIT_FAILED if failed else EXIT_OK


def _doctor(options: argparse.Namespace) -> int:
    from .run import doctor

    found = doctor.examine()
    print(json.dumps(found, indent=1, ensure_ascii=False) if options.json else doctor.table(found))
    return EXIT_OK


def _badges(options: argparse.Namespace) -> int:

    from .run import stored

    changed = stored.set_repository(options.address or stored.repository())
    print(*(f"{path.name}: rewritten." for path in changed), sep="\n", end="\n" * bool(changed))
    print(f"{len(changed)} files changed.")
    return EXIT_OK


def _claims(options: argparse.Namespace) -> int:
    from .lessons import all_claims
    from .run.baselines import read_baseline, values

    status = EXIT_OK
    for claim in all_claims():
        baseline = read_baseline(claim.lesson, "quick") or {"records": {}}
        measured = values(baseline)
        seeds = min((len(entry["seeds"]) for entry in baseline["records"].values()), default=0)
        try:
            stands = [claim.judge(measured), *(claim.judge(values(baseline, seed)) for seed in range(seeds))]
            said, sentence = "borne out" if all(stands) else "NOT borne out", claim.filled(measured)
        except KeyError as error:
            stands, said, sentence = [False], "not measured", str(error.args[0])
        status = status if all(stands) else EXIT_FAILED
        print(f"{claim.id} ({claim.lesson}): {claim.verdict}; {said} by the baselines.")
        print(f"    The page says: {claim.says}\n    {sentence}")
    return status


def _lab(options: argparse.Namespace) -> int:
    from .machine import kernel_environment
    from .run.lab import copy_lessons, jupyter_environment
    from .run.runner import find_lessons

    folder, lesson = Path("my_lessons"), find_lessons([options.lesson])[0]
    for line in copy_lessons(folder):
        print(line, file=sys.stderr)
    command = [
        sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.resolve()}", "--ServerApp.ip=127.0.0.1",
        f"--LabApp.default_url=/lab/tree/{lesson.name}", *options.rest,
    ]  # fmt: skip
    with subprocess.Popen(command, env=kernel_environment() | jupyter_environment()) as jupyter:
        # Ctrl-C is JupyterLab's: it asks, then stops its kernels. A request to end is passed on to it.
        before = (
            signal.signal(signal.SIGINT, signal.SIG_IGN),
            signal.signal(signal.SIGTERM, lambda *_: jupyter.terminate()),
        )
        try:
            return jupyter.wait()
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])


if __name__ == "__main__":
    sys.exit(main())
