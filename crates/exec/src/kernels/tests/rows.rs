//! Norms, losses, sums, and tables: what goes row by row.

use super::{close, is_gradient, numbers, same_on_any_threads, wide};
use crate::kernels::gather::{rows, scatter_add};
use crate::kernels::loss::{cross_entropy, cross_entropy_backward};
use crate::kernels::norm::{Norm, norm, norm_backward};
use crate::kernels::sum::{add, add_row, sum_rows};

fn normed(x: &[f64], width: usize, centred: bool, weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let mut y = Vec::new();
    for group in x.chunks(width) {
        let mean = if centred { group.iter().sum::<f64>() / width as f64 } else { 0.0 };
        let variance = group.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
        for x in group {
            let at = y.len();
            y.push((x - mean) / (variance + 1e-5).sqrt() * weight[at % weight.len()] + bias[at % bias.len()]);
        }
    }
    y
}

/// With one row of weights for all groups, with one for each of three, and with none.
#[test]
fn norms_and_their_gradients() {
    for (width, groups) in [(1, 6), (5, 6), (16, 3), (37, 6)] {
        for centred in [false, true] {
            for (of_weight, of_bias) in
                [(None, None), (Some(1), None), (Some(1), Some(1)), (Some(3), Some(1)), (Some(3), Some(3))]
            {
                let weight = of_weight.map(|rows| numbers(rows * width, 4));
                let bias = of_bias.map(|rows| numbers(rows * width, 5));
                let how = Norm { width, centred, weight: weight.as_deref(), bias: bias.as_deref() };
                let weights = wide(how.weight.unwrap_or(&[1.0]));
                let biases = wide(how.bias.unwrap_or(&[0.0]));
                let (x, dy) = (numbers(width * groups, 1), numbers(width * groups, 2));
                let (y, statistics) = norm(&x, how);
                close(&y, &normed(&wide(&x), width, centred, &weights, &biases));
                assert_eq!(statistics.len(), if centred { 2 * groups } else { groups });
                let got = norm_backward(&x, &statistics, &dy, how);
                // What one value loses by its norm is all it has: the gradient is rounding.
                if width > 1 {
                    is_gradient(&got.x, &x, &dy, |x| normed(x, width, centred, &weights, &biases));
                }
                assert_eq!((got.weight.is_some(), got.bias.is_some()), (weight.is_some(), bias.is_some()));
                if let (Some(got), Some(weight)) = (&got.weight, &weight) {
                    is_gradient(got, weight, &dy, |weight| {
                        normed(&wide(&x), width, centred, weight, &biases)
                    });
                }
                if let (Some(got), Some(bias)) = (&got.bias, &bias) {
                    is_gradient(got, bias, &dy, |bias| normed(&wide(&x), width, centred, &weights, bias));
                }
            }
        }
    }
}

/// The way back reads the mean first, then one over the deviation.
#[test]
fn statistics_are_mean_and_scale() {
    let how = Norm { width: 2, centred: true, weight: None, bias: None };
    let (_, statistics) = norm(&[1.0, 5.0, -3.0, -3.0], how);
    close(&statistics, &[3.0, 0.5, -3.0, 1e-5_f64.sqrt().recip()]);
    let (_, statistics) = norm(&[3.0, 4.0], Norm { centred: false, ..how });
    close(&statistics, &[12.5_f64.sqrt().recip()]);
}

#[test]
fn losses_and_their_gradients() {
    for vocab in [1, 2, 16, 61] {
        let targets: Vec<u32> = (0..5).map(|at| (at * 7 % vocab) as u32).collect();
        let logits = numbers(5 * vocab, 1);
        let mean = |logits: &[f64]| {
            let losses = logits.chunks(vocab).zip(&targets).map(|(row, target)| {
                row.iter().map(|logit| logit.exp()).sum::<f64>().ln() - row[*target as usize]
            });
            vec![losses.sum::<f64>() / 5.0]
        };
        let (loss, sums) = cross_entropy(&logits, vocab, &targets);
        close(&[loss as f32], &mean(&wide(&logits)));
        let got = cross_entropy_backward(&logits, vocab, &sums, &targets, 0.6);
        is_gradient(&got, &logits, &[3.0], mean);
    }
}

#[test]
fn losses_of_large_logits_and_strange_targets() {
    let (loss, sums) = cross_entropy(&[1e4, 0.0, -1e4, 0.0], 2, &[1, 1]);
    assert_eq!((loss, sums), (5e3, vec![1e4, 0.0]));
    assert!(cross_entropy(&[0.0, 0.0], 2, &[2]).0.is_nan());
}

#[test]
fn sums_of_rows_and_columns() {
    let (x, other, row) = (numbers(21, 1), numbers(21, 2), numbers(3, 3));
    let expected: Vec<f64> = x.iter().zip(&other).map(|(x, other)| f64::from(x + other)).collect();
    close(&add(&x, &other), &expected);
    let mut sum = x.clone();
    add_row(&mut sum, &row);
    let expected: Vec<f64> = x.iter().enumerate().map(|(at, x)| f64::from(x + row[at % 3])).collect();
    close(&sum, &expected);
    for (count, width) in [(7, 3), (1000, 1), (301, 17)] {
        let x = numbers(count * width, 1);
        let expected: Vec<f64> =
            (0..width).map(|column| wide(&x).iter().skip(column).step_by(width).sum()).collect();
        close(&sum_rows(&x, width), &expected);
    }
}

/// Adding gradients is the transpose of reading rows: ⟨rows(t), g⟩ = ⟨t, scatter(g)⟩.
#[test]
fn rows_are_read_and_their_gradients_added() {
    let (entries, width) = (2311, 13);
    let ids: Vec<u32> =
        (0..300).map(|at| (at * at * 31 % entries) as u32).chain([0, 0, 2310, 2310]).collect();
    let (table, gradients) = (numbers(entries * width, 1), numbers(ids.len() * width, 2));
    let read = rows(&table, width, &ids);
    for (row, id) in read.chunks(width).zip(&ids) {
        assert_eq!(row, &table[*id as usize * width..][..width]);
    }
    let mut sums = numbers(entries * width, 3);
    let mut expected = sums.clone();
    for (row, id) in gradients.chunks(width).zip(&ids) {
        let sum = &mut expected[*id as usize * width..][..width];
        sum.iter_mut().zip(row).for_each(|(sum, gradient)| *sum += gradient);
    }
    scatter_add(&mut sums, width, &ids, &gradients);
    assert_eq!(sums, expected);
}

#[test]
fn threads_do_not_change_bits() {
    let (count, width) = (700, 74);
    let (x, dy, weight) = (numbers(count * width, 1), numbers(count * width, 2), numbers(width, 3));
    for centred in [false, true] {
        let how = Norm { width: width / 2, centred, weight: Some(&weight), bias: Some(&weight) };
        same_on_any_threads(|| {
            let (y, statistics) = norm(&x, how);
            let got = norm_backward(&x, &statistics, &dy, how);
            [y, statistics, got.x, got.weight.unwrap(), got.bias.unwrap()].concat()
        });
    }
    let targets: Vec<u32> = (0..count as u32).map(|at| at % 74).collect();
    same_on_any_threads(|| {
        let (mean, sums) = cross_entropy(&x, width, &targets);
        let gradients = cross_entropy_backward(&x, width, &sums, &targets, 0.1);
        [vec![mean as f32], sums, gradients].concat()
    });
    same_on_any_threads(|| sum_rows(&x, width));
    same_on_any_threads(|| {
        let mut sums = x.clone();
        scatter_add(&mut sums, width, &targets, &dy);
        add_row(&mut sums, &weight);
        [add(&sums, &dy), rows(&sums, width, &targets)].concat()
    });
}
