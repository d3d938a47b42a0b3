"""What `accelerate config` writes."""

CONFIG_FILE = """\
compute_environment: LOCAL_MACHINE
distributed_type: MULTI_GPU
mixed_precision: bf16
dynamo_config: {dynamo_backend: AOT_EAGER}
num_machines: 1
num_processes: 2
"""
