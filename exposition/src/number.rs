//! Sample values as text.

/// A number that a sample can have.
pub trait Value: Copy {
    /// Appends the number as the text format writes it.
    fn write(self, out: &mut Vec<u8>);
}

/// From here on an `f64` no longer holds every integer: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Value for f64 {
    /// Integers up to 2^53 without exponent, everything else as the shortest text that reads back as the same number.
    #[expect(clippy::cast_possible_truncation, reason = "guarded: a whole number below 2^53 in size")]
    fn write(self, out: &mut Vec<u8>) {
        if self.fract() == 0.0 && self.abs() <= EXACT && !(self == 0.0 && self.is_sign_negative()) {
            (self as i64).write(out);
        } else if self.is_finite() {
            out.extend_from_slice(zmij::Buffer::new().format_finite(self).as_bytes());
        } else if self.is_nan() {
            out.extend_from_slice(b"NaN");
        } else if self > 0.0 {
            out.extend_from_slice(b"+Inf");
        } else {
            out.extend_from_slice(b"-Inf");
        }
    }
}

macro_rules! integer {
    ($($t:ty)*) => {$(
        impl Value for $t {
            fn write(self, out: &mut Vec<u8>) {
                out.extend_from_slice(itoa::Buffer::new().format(self).as_bytes());
            }
        }
    )*};
}
integer!(u8 u16 u32 u64 usize i32 i64);

impl Value for bool {
    fn write(self, out: &mut Vec<u8>) {
        out.push(if self { b'1' } else { b'0' });
    }
}

/// A kernel count as a float, for arithmetic. Above 2^53 the nearest float is what Prometheus would store anyway.
#[expect(clippy::cast_precision_loss, reason = "the one place where a count becomes a sample value")]
pub const fn from_u64(count: u64) -> f64 {
    count as f64
}

/// As [`from_u64`], for signed numbers.
#[expect(clippy::cast_precision_loss, reason = "the one place where a count becomes a sample value")]
pub const fn from_i64(count: i64) -> f64 {
    count as f64
}

/// As [`from_u64`], for lengths.
pub const fn from_usize(count: usize) -> f64 {
    from_u64(count as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: impl Value) -> String {
        let mut out = Vec::new();
        value.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_have_no_exponent_up_to_2_pow_53() {
        assert_eq!(text(0.0), "0");
        assert_eq!(text(1e15), "1000000000000000");
        assert_eq!(text(EXACT), "9007199254740992");
        assert_eq!(text(-EXACT), "-9007199254740992");
        assert_eq!(text(u64::MAX), "18446744073709551615");
        assert_eq!(text(i64::MIN), "-9223372036854775808");
        assert_eq!(text(true), "1");
    }

    #[test]
    fn the_odd_ones() {
        assert_eq!(text(f64::NAN), "NaN");
        assert_eq!(text(f64::INFINITY), "+Inf");
        assert_eq!(text(f64::NEG_INFINITY), "-Inf");
        assert_eq!(text(0.1), "0.1");
        assert_eq!(text(-0.0).parse::<f64>().unwrap().to_bits(), (-0.0f64).to_bits());
    }

    proptest::proptest! {
        #[test]
        fn floats_read_back_the_same(value: f64) {
            let back: f64 = text(value).replace("Inf", "inf").parse().unwrap();
            proptest::prop_assert!(back == value || (back.is_nan() && value.is_nan()));
        }
    }
}
