"""GPUs and models by name.

GPU figures are per GPU. Sources: Splitwise (ISCA'24), table 1 and its machine prices divided by eight; memory is 80 GiB as
its simulator counts it. `clock_mhz_min` is where the policies' range begins (DynamoLLM, section on knobs: 800 MHz), not
the lowest clock of the silicon: below it no clock law here has an anchor. Brakes and caps may go lower.
"""

from collections.abc import Mapping
from types import MappingProxyType

from inference.domain.replica import Gpu, Model
from inference.errors import ScenarioError

_GIB = 1 << 30

# One 200 (400) Gb/s InfiniBand port per GPU: eight of them are the simulator's 200 GB/s per A100 machine.
_A100 = Gpu(
    name="a100-80gb",
    memory_bytes=80 * _GIB,
    memory_bytes_per_s=2039e9,
    tflops=19.5,
    tdp_w=400.0,
    link_bytes_per_s=25e9,
    clock_mhz_max=1410,
    clock_mhz_min=800,
    price_usd_per_h=17.6 / 8,
)

_H100 = Gpu(
    name="h100-80gb",
    memory_bytes=80 * _GIB,
    memory_bytes_per_s=3352e9,
    tflops=66.9,
    tdp_w=700.0,
    link_bytes_per_s=50e9,
    clock_mhz_max=1980,
    clock_mhz_min=800,
    price_usd_per_h=38.0 / 8,
)

# Splitwise's HHcap: an H100 held at half its power limit. Its prefill takes 1.30 times as long, its decode no longer.
_H100_PCAP = Gpu(
    name="h100-80gb-pcap",
    memory_bytes=80 * _GIB,
    memory_bytes_per_s=3352e9,
    tflops=66.9,
    tdp_w=350.0,
    link_bytes_per_s=50e9,
    clock_mhz_max=1980,
    clock_mhz_min=800,
    price_usd_per_h=38.0 / 8,
)

# Data sheet of Tesla V100 SXM2; the router paper's machines. Price: a cloud's list price of its year, quoted by nobody
# whom we reproduce, so no cost target rests on it.
_V100 = Gpu(
    name="v100-32gb",
    memory_bytes=32 * _GIB,
    memory_bytes_per_s=900e9,
    tflops=15.7,
    tdp_w=300.0,
    link_bytes_per_s=12.5e9,
    clock_mhz_max=1530,
    clock_mhz_min=800,
    price_usd_per_h=3.06,
)

GPUS: Mapping[str, Gpu] = MappingProxyType(
    {gpu.name: gpu for gpu in (_A100, _H100, _H100_PCAP, _V100)}
)

MODELS: Mapping[str, Model] = MappingProxyType(
    {
        model.name: model
        for model in (
            # BLOOM (2211.05100), table 3; 176.2e9 parameters, of which splitwise-sim keeps 329e9 bytes on a machine.
            Model("bloom-176b", 70, 14336, 112, 112, 128, 329_000_000_000),
            # Llama 2 (2307.09288), table 1 and section 2.2: 70B has grouped-query attention with 8 key-value heads.
            Model("llama2-7b", 32, 4096, 32, 32, 128, 13_476_831_232),
            Model("llama2-13b", 40, 5120, 40, 40, 128, 26_031_728_640),
            Model("llama2-70b", 80, 8192, 64, 8, 128, 137_953_296_384),
            # The same as splitwise-sim counts it: KV from the hidden size (no GQA: 2.62 MB a token), 135e9 bytes.
            Model("llama2-70b-mha", 80, 8192, 64, 64, 128, 135_000_000_000),
            # OPT (2205.01068), table 1: 13 and 66 billion parameters, whose time DistServe fitted.
            Model("opt-13b", 40, 5120, 40, 40, 128, 25_700_000_000),
            Model("opt-66b", 64, 9216, 72, 72, 128, 131_400_000_000),
            # Llama 3 (2407.21783), table 3.
            Model("llama3.1-8b", 32, 4096, 32, 8, 128, 16_060_522_496),
            Model("llama3.1-70b", 80, 8192, 64, 8, 128, 141_107_412_992),
        )
    }
)


def gpu_by_name(name: str) -> Gpu:
    """The GPU of that name.

    Raises:
        ScenarioError: there is none; the message lists those there are.
    """
    gpu = GPUS.get(name)
    if gpu is None:
        raise ScenarioError("catalog", "gpu", f"expected one of {sorted(GPUS)}, found {name!r}")
    return gpu


def model_by_name(name: str) -> Model:
    """The model of that name.

    Raises:
        ScenarioError: there is none; the message lists those there are.
    """
    model = MODELS.get(name)
    if model is None:
        raise ScenarioError("catalog", "model", f"expected one of {sorted(MODELS)}, found {name!r}")
    return model
