//! Rung 0: system calls; the only place for `unsafe`.
