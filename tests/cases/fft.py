"""Cases of the Fourier transforms: every function, with lengths that crop and pad, odd and even."""
import numpy as np

from autodiffnb.fft import fitted

from .base import on, real

table: dict = {}

for fn in (np.fft.fft, np.fft.ifft, np.fft.irfft, np.fft.hfft, np.fft.rfft, np.fft.ihfft):
    kind = real if fn in (np.fft.rfft, np.fft.ihfft) else {}
    table[fn] = on(fn, [(4,)], [(2, 5)], [(0, 3)], **kind) + on(lambda x, fn=fn: fn(x, 5, axis=0, norm="ortho"), [(3,)], [(4, 2)], [(7, 1)], **kind)
    table[fn] += on(lambda x, fn=fn: fn(x, n=4, axis=-2, norm="forward"), [(3, 2)], [(2, 5, 1)], **kind)
for fn in (np.fft.fft2, np.fft.ifft2, np.fft.irfft2, np.fft.rfft2, np.fft.fftn, np.fft.ifftn, np.fft.irfftn, np.fft.rfftn):
    kind = real if fn in (np.fft.rfft2, np.fft.rfftn) else {}
    table[fn] = on(fn, [(2, 3)], [(3, 2)], **kind) + on(lambda x, fn=fn: fn(x, s=(3, 4), axes=(1, 0), norm="ortho"), [(3, 4)], [(5, 2)], **kind)
    table[fn] += on(lambda x, fn=fn: fn(x, (2, -1), (0, 2), "forward"), [(3, 2, 4)], [(2, 0, 3)], **kind)
for fn in (np.fft.fftn, np.fft.ifftn):
    table[fn] += on(lambda x, fn=fn: fn(x, axes=(0, 0)), [(3,)]) + on(lambda x, fn=fn: fn(x, (2, 4), (1, 1)), [(2, 3)]) + on(lambda x, fn=fn: fn(x, axes=()), [()])
for fn in (np.fft.fftshift, np.fft.ifftshift):
    table[fn] = on(fn, [(5,)], [(2, 3)], [(0, 3)]) + on(lambda x, fn=fn: fn(x, axes=(0, -1)), [(3, 2, 4)]) + on(lambda x, fn=fn: fn(x, axes=1), [(2, 3)])
table[fitted] = on(lambda x: fitted(x, (2, 3)), [(2, 3)], [(4, 1)], [(1, 2)], [(0, 4)]) + on(lambda x: fitted(x, ()), [()])
