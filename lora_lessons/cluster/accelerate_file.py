"""The file that `accelerate launch --config_file` reads: how many processes, and what FSDP does with the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..files import whole_file

ACCELERATE = "accelerate.yaml"


def fsdp_config(offload: bool = False) -> dict[str, Any]:
    """FSDP2 for LoRA: what each line is for stands above it.

    Not in it: mixed precision. It would cast what is gathered, and codes of 4 bits cast to another dtype are no codes.
    """
    return {
        # FSDP1 glues a block into one flat parameter, which our fp32 adapter beside a 16-bit base does not allow
        "fsdp_version": 2,
        # one unit per transformer block: that much is gathered at once
        "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        # let a block go after its forward, and gather it again on the way back
        "fsdp_reshard_after_forward": True,
        # shards wait in the host's memory: less on the card, and all of them travel over its bus at each step
        "fsdp_offload_params": offload,
        # each rank reads the base itself: 4-bit weights cannot be handed on by rank 0
        "fsdp_cpu_ram_efficient_loading": False,
        # our own checkpoints hold the adapter alone, whole
        "fsdp_state_dict_type": "SHARDED_STATE_DICT",
        # training.Settings says whether activations are kept
        "fsdp_activation_checkpointing": False,
    }


def accelerate_config(processes: int, machines: int = 1, *, offload: bool = False) -> Any:
    """accelerate's own ClusterConfig for `processes` ranks in all, on one or several machines."""
    from accelerate.commands.config.config_args import ClusterConfig

    several = machines > 1
    return ClusterConfig(
        compute_environment="LOCAL_MACHINE",
        distributed_type="FSDP",
        mixed_precision="no",
        use_cpu=False,
        debug=False,
        num_processes=processes,
        num_machines=machines,
        # each machine's line says its own
        machine_rank=0,
        # on one machine, any that is free
        main_process_port=29500 if several else 0,
        same_network=True,
        fsdp_config=fsdp_config(offload),
    )


def write_accelerate_file(
    folder: Path, processes: int, machines: int = 1, *, offload: bool = False, head: str = ""
) -> None:
    """Write FOLDER/accelerate.yaml as accelerate itself does, under the comment `head`."""
    with whole_file(folder / ACCELERATE) as temporary:
        accelerate_config(processes, machines, offload=offload).to_yaml_file(temporary)
        temporary.write_text(head + temporary.read_text(encoding="utf-8"), encoding="utf-8")
