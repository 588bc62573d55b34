//! The order of files: digits compare as numbers, so that `day-2` comes before `day-10`.
//!
//! The order of files is the order of partitions, which users see in `take` and in output files;
//! hourly files named `-0` to `-23` should come in the order of the day.

use std::cmp::Ordering;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Compares paths with digit runs as numbers; equal only for equal paths.
pub fn compare_paths(a: &Path, b: &Path) -> Ordering {
    let (a, b) = (a.as_os_str().as_bytes(), b.as_os_str().as_bytes());
    compare(a, b).then_with(|| a.cmp(b))
}

fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let (digits_a, digits_b) = (digits(a), digits(b));
        let order = if digits_a > 0 && digits_b > 0 {
            let (x, y) = (trim_zeros(&a[..digits_a]), trim_zeros(&b[..digits_b]));
            (a, b) = (&a[digits_a..], &b[digits_b..]);
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            match (a.split_first(), b.split_first()) {
                (Some((x, rest_a)), Some((y, rest_b))) => {
                    (a, b) = (rest_a, rest_b);
                    x.cmp(y)
                }
                (x, y) => return x.is_some().cmp(&y.is_some()),
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn trim_zeros(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().take_while(|&&digit| digit == b'0').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_compare_as_numbers() {
        let mut names = ["b-1", "a-10", "a-2", "a", "a-02", "a-2b", "a-1.gz", "a-0"];
        names.sort_by(|a, b| compare_paths(Path::new(a), Path::new(b)));
        assert_eq!(
            names,
            ["a", "a-0", "a-1.gz", "a-02", "a-2", "a-2b", "a-10", "b-1"]
        );
    }
}
