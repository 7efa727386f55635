"Hand-written NumPy."
import numpy as np
from jobs import BY_HAND as JOBS

def host(x): return np.asarray(x)
