//! Charts as SVG for the page, and the same as PNG.
//!
//! A chart is a value with a few rows of numbers. Its colours are classes, so that the page's stylesheet
//! (`chart.css`) decides about light and dark; [`png`] brings its own. Whatever the labels hold is shown as
//! text.
//!
//! # Layout
//! - [`Bars`]: amounts side by side, lying or upright, each perhaps a link.
//! - [`OverTime`]: a line or columns, one or several series.
//! - [`Tiles`]: the states of the USA as a grid that looks like the map.
//! - [`png()`]: any of them as a picture. [`standing_alone`]: as an SVG file.

mod bars;
mod canvas;
mod over_time;
mod png;
mod scale;
mod tiles;

pub use bars::{Bar, Bars};
pub use over_time::OverTime;
pub use png::{png, standing_alone};
pub use tiles::Tiles;

/// Something that can be drawn, and told as a table.
pub trait Chart {
    /// What the chart is about, as a heading.
    fn title(&self) -> &str;

    /// A whole `<svg>` element, to stand in a page as it is.
    fn svg(&self) -> String;

    /// The same numbers for those who can't see the picture.
    fn table(&self) -> Table;
}

/// The numbers of a chart, ready to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Heads of the columns.
    pub head: Vec<String>,
    /// As many cells each as there are heads; the first one is the row's name.
    pub rows: Vec<Vec<String>>,
}

/// A colour by what it is good for; `chart.css` has its values for light and dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hue {
    /// The accent: what is to be seen first.
    #[default]
    Main,
    Teal,
    Amber,
    Red,
    Violet,
    /// What is there for comparison.
    Grey,
}

impl Hue {
    /// In the order in which series take them.
    pub const ALL: [Self; 6] =
        [Self::Main, Self::Teal, Self::Amber, Self::Red, Self::Violet, Self::Grey];

    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Main => "h-main",
            Self::Teal => "h-teal",
            Self::Amber => "h-amber",
            Self::Red => "h-red",
            Self::Violet => "h-violet",
            Self::Grey => "h-grey",
        }
    }
}

#[cfg(test)]
mod tests;
