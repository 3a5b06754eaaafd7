//! The high watermark: what of the log readers may see.
//!
//! An ordinary log shows all that is in it, and pays nothing for that. A writer that appends several
//! logs and makes them visible together sets the bound by hand: it appends above the high watermark,
//! and raises it when all of it stands.
use std::sync::atomic::Ordering;

use super::Log;

/// The bound of a log that shows all that is in it.
pub(super) const EVERYTHING: i64 = i64::MAX;

impl Log {
    /// First offset that readers do not see.
    pub fn high_watermark(&self) -> i64 {
        // The end first: hidden records come after the bound is set, and a bound that is found not
        // to be set says that there was none of them below the end that was read before.
        let end = self.end_offset();
        end.min(self.visible_below())
    }

    /// From now on, and until the log is closed, the high watermark is `offset`, within the log start
    /// and end offsets; what is appended stays hidden until [`Log::reveal`].
    pub fn hide_from(&self, offset: i64) {
        let offset = offset.max(self.start_offset());
        self.visible.store(offset, Ordering::Release);
    }

    /// As [`Log::hide_from`] the log end offset, unless the high watermark is set by hand already.
    /// Only for a log that one thread writes: what others append in between is hidden.
    pub fn hide_appends(&self) {
        let end = self.end_offset();
        // An error says that it is by hand already.
        let _ = self
            .visible
            .compare_exchange(EVERYTHING, end, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Raises the high watermark to `offset`, at most to the log end offset. It never goes down.
    /// Nothing happens if it follows the log end offset anyhow.
    pub fn reveal(&self, offset: i64) {
        let offset = offset.min(self.end_offset());
        self.visible.fetch_max(offset, Ordering::AcqRel);
    }

    /// The bound of what readers see; above the log end offset if that is all there is.
    pub(super) fn visible_below(&self) -> i64 {
        self.visible.load(Ordering::Acquire)
    }

    /// The log was cut: what comes in place of what was cut is hidden like that.
    pub(super) fn lower_visible(&self, end_offset: i64) {
        if self.visible_below() != EVERYTHING {
            self.visible.fetch_min(end_offset, Ordering::AcqRel);
        }
    }
}
