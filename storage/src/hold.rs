//! Taking locks whose holder may have panicked: the state under each lock here is valid between any
//! two statements, so a poisoned lock is taken over.
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A mutex that is taken whether or not it is poisoned.
pub(crate) trait Hold<T> {
    /// Takes the lock.
    fn hold(&self) -> MutexGuard<'_, T>;
}

impl<T> Hold<T> for Mutex<T> {
    fn hold(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A read-write lock that is taken whether or not it is poisoned.
pub(crate) trait HoldShared<T> {
    /// Takes the lock together with other readers.
    fn shared(&self) -> RwLockReadGuard<'_, T>;
    /// Takes the lock alone.
    fn exclusive(&self) -> RwLockWriteGuard<'_, T>;
}

impl<T> HoldShared<T> for RwLock<T> {
    fn shared(&self) -> RwLockReadGuard<'_, T> {
        self.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn exclusive(&self) -> RwLockWriteGuard<'_, T> {
        self.write().unwrap_or_else(PoisonError::into_inner)
    }
}
