//! The views that come with klamm, one file each.
use crate::{Engine, Options};

/// A view that comes with klamm.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Name, also of its topic.
    pub name: &'static str,
    /// Topic that it is made from unless told otherwise.
    pub source: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// Makes an engine without rows.
    pub engine: fn(Options) -> Box<dyn Engine>,
}

macro_rules! views {
    ($($view:ident)+) => {
        $(mod $view;)+
        const VIEWS: &[View] = &[$($view::VIEW),+];
    };
}

// A further view is a file in this folder, and its name here.
views! {
    daily_revenue
    order_revenue_minute
    user_activity
}

/// All views that come with klamm.
pub fn all() -> &'static [View] {
    VIEWS
}

/// The view of this name.
pub fn find(name: &str) -> Option<&'static View> {
    VIEWS.iter().find(|view| view.name == name)
}
