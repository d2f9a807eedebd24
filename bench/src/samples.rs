//! What is kept of a round's measurements.

/// p50, p99 and p99.9 of a round's latencies: the least that so large a part of all does not exceed.
pub fn percentiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [0.5, 0.99, 0.999].map(|part| values[(values.len() as f64 * part).ceil() as usize - 1])
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
