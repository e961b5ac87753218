use super::*;

const HOSTILE: &str = "<script>alert('x')</script>\" onload=\"x\u{0}\u{1b}&amp; ]]> \u{ffff}";

fn charts(label: &str) -> Vec<Box<dyn Chart>> {
    let bars = || {
        Bars::new(label, label, label)
            .bar(Bar::new(label, 3.0).link("/?q=\"<&").hue(Hue::Red))
            .bar(Bar::new("b", 0.0))
    };
    vec![
        Box::new(bars()),
        Box::new(bars().upright()),
        Box::new(OverTime::line(label, label, label, [label, "b"]).series(
            label,
            Hue::Main,
            [1.0, f64::NAN],
        )),
        Box::new(
            OverTime::columns(label, label, label, [label, "b"])
                .series(label, Hue::Main, [1.0, 2.5])
                .series("other", Hue::Grey, [f64::INFINITY])
                .links(["/a\"<", "/b"]),
        ),
        Box::new(
            Tiles::new(label, label).tile("CA", 12.0, Some("/\"<>".into())).tile(label, 3.0, None),
        ),
        Box::new(Bars::new(label, label, label)),
        Box::new(OverTime::line(label, label, label, Vec::<String>::new())),
        Box::new(Tiles::new(label, label)),
    ]
}

#[test]
fn hostile_labels_are_text() {
    for chart in charts(HOSTILE) {
        let svg = chart.svg();
        for bad in ["<script", "\" onload", "\u{0}", "\u{1b}", "\u{ffff}", "style=", "NaN", "inf"] {
            assert!(!svg.contains(bad), "{bad:?} in {svg}");
        }
        assert!(svg.contains("&lt;script&gt;alert"), "{svg}");
        // A parser that refuses what isn't XML.
        png(&svg, 400).unwrap();
    }
}

#[test]
fn a_chart_says_what_it_shows() {
    for chart in charts("plain") {
        let svg = chart.svg();
        let group = svg.contains("<a ");
        assert!(svg.contains(if group { "role=\"group\"" } else { "role=\"img\"" }), "{svg}");
        assert!(svg.contains("aria-label=\"plain\"><title>plain</title><desc>"), "{svg}");
        let table = chart.table();
        assert!(table.rows.iter().all(|row| row.len() == table.head.len()), "{table:?}");
    }
}

#[test]
fn a_picture_has_the_width_that_was_asked_for() {
    for (at, chart) in charts("plain").iter().enumerate() {
        for (asked, got) in [(800, 800), (1, 100)] {
            let png = png(&chart.svg(), asked).unwrap();
            assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
            assert_eq!(u32::from_be_bytes(png[16..20].try_into().unwrap()), got, "chart {at}");
        }
    }
    let widest = png(&Bars::new("t", "o", "u").svg(), 100_000).unwrap();
    assert_eq!(u32::from_be_bytes(widest[16..20].try_into().unwrap()), 3000);
    assert!(png("", 800).is_err());
    assert!(png("<p>not a chart</p>", 800).is_err());
    assert!(png(&format!("<svg>{}</svg>", " ".repeat(2 << 20)), 800).is_err());
}

#[test]
fn a_picture_has_colours_and_letters() {
    let svg = |label: &str, hue| Bars::new("t", "o", "u").bar(Bar::new(label, 3.0).hue(hue)).svg();
    let drawn = png(&svg("Class I", Hue::Main), 300).unwrap();
    assert_ne!(drawn, png(&svg("Class I", Hue::Red), 300).unwrap(), "the colour isn't drawn");
    assert_ne!(drawn, png(&svg("Class V", Hue::Main), 300).unwrap(), "the text isn't drawn");
}

#[test]
fn every_class_has_its_colours_on_page_and_in_picture() {
    let (page, picture) =
        (include_str!("../../assets/chart.css"), include_str!("../../assets/chart-png.css"));
    let mut classes: Vec<String> = Hue::ALL.iter().map(|hue| hue.class().to_owned()).collect();
    for svg in charts("x").iter().map(|chart| chart.svg()) {
        let named = svg
            .split("class=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next().map(str::to_owned));
        classes.extend(
            named.flat_map(|names| names.split_whitespace().map(str::to_owned).collect::<Vec<_>>()),
        );
    }
    classes.retain(|class| !["chart-svg", "c-link", "map", "whole"].contains(&class.as_str()));
    for class in classes {
        assert!(page.contains(&format!(".{class}")), "chart.css lacks {class}");
        assert!(picture.contains(&format!(".{class}")), "chart-png.css lacks {class}");
    }
}

#[test]
fn amounts_are_told_apart_by_colour() {
    let many = STATE_CODES
        .iter()
        .enumerate()
        .fold(Tiles::new("t", "recalls"), |tiles, (at, code)| tiles.tile(code, at as f64, None));
    let svg = many.svg();
    for step in 0..=5 {
        assert!(svg.contains(&format!("c-tile q{step}\"")), "no tile of step {step}");
    }
    let twice = Tiles::new("t", "u")
        .tile("ca", 1.0, None)
        .tile("CA ", 2.0, None)
        .tile("XX", 4.0, None)
        .table();
    assert_eq!(twice.rows.first(), Some(&vec!["California".to_owned(), "3".to_owned()]));
    assert_eq!(twice.rows.last(), Some(&vec!["Elsewhere".to_owned(), "4".to_owned()]));
}

const STATE_CODES: [&str; 12] =
    ["AK", "CA", "TX", "NY", "FL", "PR", "DC", "ME", "OH", "WA", "MN", "IL"];
