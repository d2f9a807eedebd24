//! What is kept of a round's measurements.

/// p50, p99 and p99.9 of a round's latencies.
pub fn percentiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [0.5, 0.99, 0.999].map(|part| values[((values.len() - 1) as f64 * part) as usize])
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
