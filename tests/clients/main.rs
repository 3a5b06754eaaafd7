//! Stock clients as subprocesses.
