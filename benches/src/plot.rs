//! Results as a plot: a bar for each row, with its spread. It needs only bars and text, so SVG is written as text.

use crate::results::{Kind, Results};

const WIDTH: f64 = 900.0;
/// Where the bars begin.
const LEFT: f64 = 330.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 60.0;
const ROW: f64 = 24.0;

/// Wall time of every row; within a bar, the darker part is processor time divided by the number of processors.
pub fn of(results: &Results) -> String {
    let rows: Vec<_> = [Kind::Own, Kind::Foreign, Kind::Floor]
        .into_iter()
        .flat_map(|kind| results.rows.iter().filter(move |row| row.kind == kind))
        .collect();
    let longest = rows.iter().map(|row| row.spread(|run| run.wall).max).fold(0.001, f64::max);
    let step = nice_step(longest / 6.0);
    let end = (longest / step).ceil() * step;
    let x = |seconds: f64| LEFT + seconds / end * (WIDTH - LEFT - RIGHT);
    let bottom = TOP + ROW * rows.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"15\">{}</text>\n\
         <text x=\"16\" y=\"42\" fill=\"#555\">wall time in seconds: median of {}, and spread; dark: processor time / processors</text>\n",
        bottom + 40.0,
        escape(&results.title),
        results.rounds,
    );
    for tick in 0..=(end / step).round() as u32 {
        let seconds = f64::from(tick) * step;
        let at = x(seconds);
        svg += &format!("<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/>\n");
        svg += &format!(
            "<text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#555\">{}</text>\n",
            bottom + 18.0,
            trimmed(seconds)
        );
    }
    for (number, row) in rows.iter().enumerate() {
        let y = TOP + ROW * number as f64;
        let wall = row.spread(|run| run.wall);
        let cpu = row.spread(|run| run.cpu()).median / results.machine.processors.max(1) as f64;
        let (light, dark) = match row.kind {
            Kind::Own => ("#7eb6f2", "#2f6fb3"),
            Kind::Foreign => ("#f4b183", "#b5651d"),
            Kind::Floor => ("#c8c8c8", "#888888"),
        };
        let middle = y + ROW / 2.0;
        let bar = |seconds: f64, colour: &str| {
            let (top, width) = (y + 4.0, x(seconds) - LEFT);
            format!(
                "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>\n",
                ROW - 8.0
            )
        };
        let label = escape(&row.name);
        svg += &format!("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{label}</text>\n", LEFT - 8.0, middle + 4.0);
        svg += &bar(wall.median, light);
        svg += &bar(cpu.min(wall.median), dark);
        svg += &format!(
            "<path d=\"M{:.1} {middle}H{:.1}\" stroke=\"#000\" stroke-width=\"1.5\"/>\n",
            x(wall.min),
            x(wall.max)
        );
        svg += &format!("<text x=\"{:.1}\" y=\"{}\">{:.2}</text>\n", x(wall.max) + 6.0, middle + 4.0, wall.median);
    }
    svg + "</svg>\n"
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn nice_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least).unwrap_or(power * 10.0)
}

fn trimmed(seconds: f64) -> String {
    let text = format!("{seconds:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (least, step) in [(0.3, 0.5), (0.9, 1.0), (1.0, 1.0), (12.0, 20.0), (70.0, 100.0)] {
            assert!((nice_step(least) - step).abs() < 1e-9, "{least}");
        }
        assert_eq!((&*trimmed(0.5), &*trimmed(2.0), &*trimmed(0.125)), ("0.5", "2", "0.125"));
    }
}
