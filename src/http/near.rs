//! `near=lat,lng&radius_m=`: a place to search around.

use crate::order::Point;

use super::error::{ApiError, FieldErrors};

/// A city's reach, for those who give no radius.
const USUAL_RADIUS_M: f64 = 5_000.0;

/// Half the way around the earth.
const WIDEST_RADIUS_M: f64 = 20_037_508.0;

#[derive(Clone, Copy, Debug)]
pub(super) struct Near {
    pub(super) around: Point,
    pub(super) radius_m: f64,
}

impl Near {
    /// None if no place was given.
    pub(super) fn parse(near: Option<&str>, radius_m: Option<f64>) -> Result<Option<Self>, ApiError> {
        let mut errors = FieldErrors::default();
        let radius_m = radius_m.unwrap_or(USUAL_RADIUS_M);
        if !(0.0..=WIDEST_RADIUS_M).contains(&radius_m) {
            errors.refuse("/radius_m", "out_of_range", format!("a radius is 0 to {WIDEST_RADIUS_M} metres"));
        }
        let around = near.map(point);
        if let Some(Err(why)) = &around {
            errors.refuse("/near", "off_the_earth", *why);
        }
        errors.finish()?;
        Ok(around.and_then(Result::ok).map(|around| Self { around, radius_m }))
    }

    /// How far away, if within the radius.
    pub(super) fn distance(&self, place: Point) -> Option<f64> {
        let metres = self.around.metres_to(place);
        (metres <= self.radius_m).then_some(metres)
    }
}

pub(super) fn point(text: &str) -> Result<Point, &'static str> {
    const FORM: &str = "a place is lat,lng in degrees";
    let (lat, lng) = text.split_once(',').ok_or(FORM)?;
    let degrees = |text: &str| text.trim().parse::<f64>().map_err(|_| FORM);
    Point::new(degrees(lat)?, degrees(lng)?).map_err(|_| "a latitude is within 90, a longitude within 180 degrees")
}
