use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};

use crate::WebError;

/// Pixels of width; the height follows from the chart.
const WIDTHS: std::ops::RangeInclusive<u32> = 100..=3000;
/// Pixels of height. With the widest it bounds the memory of a picture to 48 MB.
const TALLEST: f32 = 4000.0;
/// Bytes of SVG: the largest of our charts has a tenth of it.
const LONGEST: usize = 1 << 20;

/// Around a picture, and for its title: units of the drawing.
const MARGIN: f32 = 20.0;
const HEADING: f32 = 34.0;

/// The colours of `chart.css` on white: a picture stands by itself, often on paper.
const COLOURS: &str = include_str!("../../assets/chart-png.css");

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(include_bytes!("../../assets/millstream-sans.ttf").to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    Arc::new(fonts)
});

/// Draws a chart's SVG as PNG on white, `width` pixels wide (at least 100, at most 3,000). It takes the
/// processor some milliseconds, so call it where blocking is allowed.
///
/// # Errors
/// When `svg` isn't what a [`Chart`](super::Chart) made, or is too large.
pub fn png(svg: &str, width: u32) -> Result<Vec<u8>, WebError> {
    let styled = standing_alone(svg)?;
    let options = Options {
        font_family: "DejaVu Sans".to_owned(),
        fontdb: FONTS.clone(),
        ..Options::default()
    };
    let tree =
        Tree::from_str(&styled, &options).map_err(|error| WebError::Draw(error.to_string()))?;
    let width = width.clamp(*WIDTHS.start(), *WIDTHS.end());
    let scale = width as f32 / tree.size().width();
    let height = (tree.size().height() * scale).ceil().min(TALLEST) as u32;
    let mut canvas = Pixmap::new(width, height.max(1))
        .ok_or_else(|| WebError::Draw("it has no size".to_owned()))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut canvas.as_mut());
    canvas.encode_png().map_err(|error| WebError::Draw(error.to_string()))
}

/// A chart's SVG with paper, title and colours of its own, for a file that is opened without our stylesheet.
///
/// # Errors
/// When `svg` isn't what a [`Chart`](super::Chart) made, or is too large.
pub fn standing_alone(svg: &str) -> Result<String, WebError> {
    let styled = titled(svg).filter(|_| svg.len() <= LONGEST);
    styled.ok_or_else(|| WebError::Draw("it isn't a chart, or longer than 1 MiB".to_owned()))
}

/// The chart on paper: a margin, its title above it, the colours with it. `None`: it isn't a chart.
fn titled(svg: &str) -> Option<String> {
    let between =
        |from: &str, to: &str| svg.split_once(from)?.1.split_once(to).map(|(text, _)| text);
    let size = |name: &str| between(&format!(" {name}=\""), "\"")?.parse::<f32>().ok();
    let (wide, high) = (size("width")? + 2.0 * MARGIN, size("height")? + 2.0 * MARGIN + HEADING);
    // Cleaned and escaped when the chart was made.
    let title = between("<title>", "</title>")?;
    let inside =
        svg.replacen("<svg ", &format!("<svg x=\"{MARGIN}\" y=\"{}\" ", MARGIN + HEADING), 1);
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\"><style>{COLOURS}</style>\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"></rect>\
         <text class=\"p-title\" x=\"{MARGIN}\" y=\"{}\">{title}</text>{inside}</svg>",
        MARGIN + 14.0
    ))
}
