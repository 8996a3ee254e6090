"""Weights in 4 bits: NF4 as QLoRA rounds (`nf4`), and rounding that looks at what a layer reads (`gptq`)."""

from .nf4 import CHUNK as CHUNK
from .nf4 import CODEBOOKS as CODEBOOKS
from .nf4 import DoubleQuantized as DoubleQuantized
from .nf4 import Quantized as Quantized
from .nf4 import QuantizedLinear as QuantizedLinear
from .nf4 import bits_per_parameter as bits_per_parameter
from .nf4 import dequantize as dequantize
from .nf4 import double_dequantize as double_dequantize
from .nf4 import double_quantize as double_quantize
from .nf4 import dynamic_levels as dynamic_levels
from .nf4 import eight_bit as eight_bit
from .nf4 import levels as levels
from .nf4 import nearest as nearest
from .nf4 import quantize as quantize
from .nf4 import quantize_linears as quantize_linears
from .nf4 import relative_error as relative_error
from .nf4 import unpack as unpack
