"""The same training step with less work: deeper/08_faster takes the steps from transformers' code to this, one at a
time.

Read `path` first: one transformer block, and why a model may not take it. `rows` leaves out padding and computes a
shared prompt once, `attention` keeps conversations apart, `backward` writes out what autograd would keep too much for,
`head` works out the loss where there is one. Every part gives what the plain way gives, to rounding.
"""

from .path import FastPath as FastPath
from .path import why_not as why_not
