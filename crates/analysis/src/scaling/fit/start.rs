//! Where to start: variable projection. For fixed α and β the law is linear in E, A and B, so that only two constants
//! need a grid.

use libm::{exp, log};

use super::objective::{Constants, Points, huber};

/// Exponents of the grid: 0.04 to about 2, each 1.3 times the one before.
const GRID: usize = 16;
const LEAST: f64 = 0.04;
const RATIO: f64 = 1.3;
/// Starts that are worth a descent.
const KEPT: usize = 3;
/// The residual beyond which a run counts linearly here.
const WIDE: f64 = 0.02;

/// The best places of the grid, best first, none next to another.
pub(super) fn starts(points: &Points) -> Vec<Constants> {
    let exponents: Vec<f64> = (0..GRID).map(|at| LEAST * libm::pow(RATIO, at as f64)).collect();
    let powers = |of: fn(&super::objective::Point) -> f64| -> Vec<Vec<f64>> {
        let column = |exponent: &f64| points.points.iter().map(|own| exp(-exponent * of(own))).collect();
        exponents.iter().map(column).collect()
    };
    let (params, tokens) = (powers(|own| own.params), powers(|own| own.tokens));
    let inverse: Vec<f64> = points.points.iter().map(|own| exp(-own.loss)).collect();
    let mut found: Vec<(f64, usize, usize, [f64; 3])> = Vec::with_capacity(GRID * GRID);
    for (row, of_params) in params.iter().enumerate() {
        for (column, of_tokens) in tokens.iter().enumerate() {
            let Some(factors) = nonnegative(points, &inverse, of_params, of_tokens) else { continue };
            let value = value(points, &inverse, of_params, of_tokens, factors);
            found.push((value, row, column, factors));
        }
    }
    found.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut kept: Vec<(usize, usize, [f64; 3])> = Vec::new();
    for (_, row, column, factors) in found {
        if kept.len() < KEPT && kept.iter().all(|own| own.0.abs_diff(row) > 1 || own.1.abs_diff(column) > 1) {
            kept.push((row, column, factors));
        }
    }
    // What is none at all has no logarithm: it starts as a thousandth of the lowest loss.
    let floor = points.points.iter().map(|own| own.loss).fold(f64::INFINITY, f64::min) - log(1e3);
    let logarithm = |factor: f64| if factor > 0.0 { log(factor).max(floor) } else { floor };
    kept.into_iter()
        .map(|(row, column, [floor, a, b])| {
            [logarithm(a), logarithm(b), logarithm(floor), exponents[row], exponents[column]]
        })
        .collect()
}

/// The objective at a place of the grid, the relative residual for that of the logarithms.
fn value(points: &Points, inverse: &[f64], params: &[f64], tokens: &[f64], factors: [f64; 3]) -> f64 {
    let [floor, a, b] = factors;
    let columns = inverse.iter().zip(params).zip(tokens);
    let terms = points.points.iter().zip(columns).map(|(own, ((inverse, params), tokens))| {
        own.weight * huber((floor + a * params + b * tokens) * inverse - 1.0, WIDE)
    });
    terms.sum()
}

/// E, A and B, none negative, that make the relative residuals least in squares; `None` where nothing does.
fn nonnegative(points: &Points, inverse: &[f64], params: &[f64], tokens: &[f64]) -> Option<[f64; 3]> {
    let mut gram = [[0.0; 3]; 3];
    let mut right = [0.0; 3];
    for (own, ((inverse, params), tokens)) in points.points.iter().zip(inverse.iter().zip(params).zip(tokens))
    {
        let columns = [*inverse, params * inverse, tokens * inverse];
        for row in 0..3 {
            right[row] += own.weight * columns[row];
            for column in 0..3 {
                gram[row][column] += own.weight * columns[row] * columns[column];
            }
        }
    }
    // With three unknowns all sets of those that are not 0 can be tried.
    const SETS: [&[usize]; 7] = [&[0, 1, 2], &[0, 1], &[0, 2], &[1, 2], &[0], &[1], &[2]];
    let mut best: Option<(f64, [f64; 3])> = None;
    for set in SETS {
        let Some(solution) = solve(&gram, &right, set) else { continue };
        if solution.iter().any(|factor| *factor < 0.0) {
            continue;
        }
        let gain: f64 = solution.iter().zip(right).map(|(factor, right)| factor * right).sum();
        if best.is_none_or(|(known, _)| gain > known) {
            best = Some((gain, solution));
        }
    }
    best.map(|(_, solution)| solution)
}

/// Solves the normal equations for the unknowns of a set, the others 0.
fn solve(gram: &[[f64; 3]; 3], right: &[f64; 3], set: &[usize]) -> Option<[f64; 3]> {
    let mut rows: Vec<[f64; 4]> = set
        .iter()
        .map(|row| {
            let mut own = [0.0; 4];
            set.iter().enumerate().for_each(|(at, column)| own[at] = gram[*row][*column]);
            own[3] = right[*row];
            own
        })
        .collect();
    // The matrix is positive definite: elimination needs no pivots.
    for at in 0..set.len() {
        let pivot = rows[at];
        if pivot[at].is_nan() || pivot[at] <= 1e-13 * gram[set[at]][set[at]] {
            return None;
        }
        for (other, row) in rows.iter_mut().enumerate() {
            if other != at {
                let factor = row[at] / pivot[at];
                row.iter_mut().zip(pivot).for_each(|(own, by)| *own -= factor * by);
            }
        }
    }
    let mut solution = [0.0; 3];
    for (at, unknown) in set.iter().enumerate() {
        solution[*unknown] = rows[at][3] / rows[at][at];
    }
    Some(solution)
}
