"""Command `curriculum run`: train a model through stages of data, each until a plateau.

    curriculum run WHO [--config NAME|PATH] [--data hub|builtin|DIR] [--results DIR] [--name RUN] [--resume]
                   [--tournament RUN] [--stage N|NAME] [--from CHECKPOINT] [--curriculum NAME|FILE] [--like RUN]
                   [--without SOURCE] [--allow-thin] [--hours H | --until WHEN] [--plan] [--choose] [--keep-weights]
                   [--skip-batches N] [--learning-rate-scale X] [--notify COMMAND] [--verbose] [key=value ...]
    curriculum run --status [--name RUN] [--results DIR]
    curriculum run --pack [RUN] [--weights | --for-report] [--out FILE.zip] [--force] [--results DIR]

WHO: `winner` (of the newest finished tournament), a contestant's name, `v2`, `v3`, or the path of a model config
or a winner.json. Weights begin fresh unless --from names a checkpoint. SIGTERM and Ctrl-C save and leave.
--hours and --until set a deadline ("Mon 07:00", "07:00" or an ISO date-time): the stages share the time. --plan prints
what each stage can have of each source and how long it takes, and trains nothing.

With --resume: --stage N goes back to the end of the stage before it, with --keep-weights it keeps the newest weights;
--skip-batches passes over the next batches, --learning-rate-scale multiplies the rate from there on. Keys that change
no number may differ (workers, checkpoint_every ...), and max_steps may be raised.

Data in: words of a command line. Data out: exit code; launch.py does the work once the words are read.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime

from hamner.config.errors import BadInput
from hamner.runs.cli import (
    Parser,
    add_run_options,
    add_watching_options,
    is_setting,
    number,
    read_config,
    run_command,
    whole_number,
)

EXAMPLES = (
    "curriculum run winner --config laptop --name first            # the newest tournament's winner, all stages",
    "curriculum run winner --resume --name first                   # continue that run from its last checkpoint",
    "curriculum run v3 --curriculum mine.toml batch_size=16        # the preset V3 through stages of your own",
)
PACK = "--pack"


def parser() -> Parser:
    """The options of the command."""
    options = Parser("curriculum run", "Train one model through stages of data.", EXAMPLES)
    options.add_argument(
        "who",
        metavar="WHO",
        nargs="?",
        help="winner, a contestant, v2, v3, a model config or winner.json; with --like: whom that run raised",
    )
    add_run_options(options)
    options.add_argument("--tournament", metavar="RUN", help="whose winner (default: the newest finished one)")
    options.add_argument(
        "--stage",
        metavar="N|NAME",
        help="begin with this stage: with the weights of --from, or, with --resume, of the end of the stage before it",
    )
    _add_interventions(options)
    options.add_argument(
        "--from", dest="checkpoint", metavar="CHECKPOINT", help="begin with the weights of this folder"
    )
    options.add_argument(
        "--curriculum",
        metavar="NAME|FILE",
        help="flat (default), seed, v3, pretrain_v2, a TOML file, or a control of another run: joint, shuffled",
    )
    options.add_argument(
        "--without",
        metavar="SOURCE",
        action="append",
        default=[],
        help="leave it out of all stages: the others take its share; repeatable",
    )
    options.add_argument("--like", metavar="RUN", help="the finished run whose tokens joint or shuffled repeats")
    options.add_argument(
        "--allow-thin", action="store_true", help="train stages that get less than half of their main source, too"
    )
    options.add_argument(
        "--choose",
        action="store_true",
        help="train flat, joint and seed at a tenth of the tokens, then the best in full",
    )
    options.add_argument("--hours", metavar="H", help="end after so many hours: the stages share them")
    options.add_argument("--until", metavar="WHEN", help='end at this time: "Mon 07:00", 07:00, or an ISO date-time')
    options.add_argument("--plan", action="store_true", help="print the plan of text and hours, and train nothing")
    _add_watching(options)
    options.add_settings()
    return options


def _add_watching(options: Parser) -> None:
    """Add how a run is watched."""
    add_watching_options(options, "stage")
    options.add_argument("--status", action="store_true", help="print where a run stands, as curriculum status does")
    options.add_argument(PACK, action="store_true", help="put a run into one archive, as curriculum pack does")


def _add_interventions(options: Parser) -> None:
    """Add what a resume may do beside continuing."""
    options.add_argument(
        "--keep-weights", action="store_true", help="with --resume --stage: keep the newest weights instead"
    )
    options.add_argument(
        "--skip-batches", metavar="N", type=whole_number(1), help="with --resume: pass over the next N batches"
    )
    options.add_argument(
        "--learning-rate-scale",
        metavar="X",
        type=number(1e-6, 1e6),
        help="with --resume: multiply the learning rate from here on",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    if PACK in arguments:
        from curriculum import pack

        # the run's name is the only word of `curriculum pack`
        return pack.main([word for word in arguments if word not in (PACK, "--name")])
    started, options = datetime.now().astimezone(), parser().read(arguments)
    if options.status:
        from curriculum.run_status import print_run_status

        return print_run_status(options.name, options.results)
    _check_start(options)
    _check_interventions(options)
    if options.choose:
        _check_choose(options)
    _check_deadline(options)
    config = read_config(options, options.settings, "curriculum")
    from curriculum.deadline import find_deadline

    deadline = find_deadline(options.hours, options.until, started)
    from curriculum.launch import Request, run_curriculum
    from curriculum.stages import DEFAULT
    from hamner.runs.folders import results_folder

    request = Request(
        who=options.who,
        name=options.name,
        is_resumed=options.resume,
        tournament=options.tournament,
        stage=options.stage,
        checkpoint=options.checkpoint,
        curriculum=options.curriculum or DEFAULT,
        like=options.like,
        without=tuple(dict.fromkeys(options.without)),
        allow_thin=options.allow_thin,
        keep_weights=options.keep_weights,
        skip_batches=options.skip_batches or 0,
        learning_rate_scale=options.learning_rate_scale or 1.0,
        deadline=deadline,
        only_plan=options.plan,
        notify=options.notify,
        is_verbose=options.verbose,
    )
    results = results_folder(options.results)
    if options.choose:
        from curriculum.choose import choose_and_run

        assert config is not None  # --resume was refused
        return choose_and_run(request, config, results)
    return run_curriculum(request, config, results)


def _check_start(options: argparse.Namespace) -> None:
    """Raise BadInput where it is not clear who is trained, or what the run begins with."""
    if options.who and is_setting(options.who):
        options.settings.insert(0, options.who)
        options.who = None
    if not options.who and not options.like:
        first = f" before '{options.settings[0]}'" if options.settings else ""
        raise BadInput(
            f"WHO is missing{first}: give winner, a contestant, v2, v3 or a file, "
            f"as in `curriculum run winner{''.join(f' {word}' for word in options.settings[:1])}`"
        )
    of_a_start = {
        "--from": options.checkpoint,
        "--tournament": options.tournament,
        "--curriculum": options.curriculum,
        "--like": options.like,
        "--without": options.without,
    }
    given = [option for option, value in of_a_start.items() if value]
    if options.resume and given:
        raise BadInput(f"--resume keeps what the run was started with: leave out {', '.join(given)}")
    if options.like and options.without:
        raise BadInput(f"--like {options.like} repeats the tokens of its run: leave out --without")
    if options.like and (options.stage or (options.tournament and not options.who)):
        extra = "--stage" if options.stage else "--tournament"
        raise BadInput(f"--like takes stages and model over from its run: leave out {extra}")
    if options.stage and not (options.resume or options.checkpoint):
        raise BadInput(
            f"--stage {options.stage} needs weights to begin with: use --from CHECKPOINT, or --resume --name RUN"
        )


def _check_deadline(options: argparse.Namespace) -> None:
    """Raise BadInput for options that do not go with a deadline or a plan."""
    deadline = "--hours" if options.hours else "--until" if options.until else None
    if deadline and options.like:
        raise BadInput(
            f"{deadline} and --like {options.like} both say how long the stages are: a control has the tokens of its "
            "run, so leave one of them out"
        )
    if options.plan and (options.resume or options.choose):
        other = "--resume" if options.resume else "--choose"
        raise BadInput(f"--plan is of a new run: leave out {other}")


def _check_interventions(options: argparse.Namespace) -> None:
    """Raise BadInput for options of a resume that do not go with the others."""
    of_a_resume = {
        "--keep-weights": options.keep_weights,
        "--skip-batches": options.skip_batches,
        "--learning-rate-scale": options.learning_rate_scale,
    }
    problems = [
        f"{option} changes a run that has begun: use it with --resume"
        for option, value in of_a_resume.items()
        if value and not options.resume
    ]
    if options.resume and options.keep_weights and not options.stage:
        problems.append("--keep-weights says what a stage begins with: use it with --stage N")
    if options.resume and options.skip_batches and options.stage:
        problems.append("--stage begins with text that was not read yet: leave out --skip-batches")
    if problems:
        raise BadInput(problems)


def _check_choose(options: argparse.Namespace) -> None:
    """Raise BadInput for options that do not go with --choose."""
    excluded = {"--curriculum": options.curriculum, "--like": options.like, "--without": options.without}
    excluded |= {"--stage": options.stage, "--hours": options.hours, "--until": options.until}
    problems = [f"--choose and {option} both say what is trained: choose one" for option, v in excluded.items() if v]
    if options.resume:
        problems.append("--choose continues by itself: leave out --resume, and give the same --name")
    if not options.name:
        problems.append("--choose trains ten runs, which share a name: give --name RUN")
    if problems:
        raise BadInput(problems)


if __name__ == "__main__":
    raise SystemExit(main())
