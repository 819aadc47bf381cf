//! Where the people of the demonstration are, and what they leave to chance.

use serde::{Deserialize, Serialize};

use crate::order::Point;

/// Gangnam station in Seoul: everything happens within walking distance of it.
pub(super) const CENTRE: Spot = Spot { lat: 37.4979, lng: 127.0276 };

/// Incheon airport, 50 km away: no kitchen delivers there.
pub(super) const FAR_AWAY: Spot = Spot { lat: 37.4602, lng: 126.4407 };

/// Metres in a degree of latitude, and of longitude at 37.5 degrees north.
const DEGREE_M: (f64, f64) = (111_000.0, 88_000.0);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Spot {
    pub lat: f64,
    pub lng: f64,
}

impl Spot {
    /// Somewhere in the square that reaches `metres` to each side.
    pub(super) fn nearby(self, metres: f64) -> Self {
        let aside = || (fastrand::f64() * 2.0 - 1.0) * metres;
        Self { lat: self.lat + aside() / DEGREE_M.0, lng: self.lng + aside() / DEGREE_M.1 }
    }

    /// So far on the straight way to `there`, or there.
    pub(super) fn towards(self, there: Self, metres: f64) -> Self {
        let way = self.metres_to(there);
        if way <= metres {
            return there;
        }
        let part = metres / way;
        Self { lat: self.lat + (there.lat - self.lat) * part, lng: self.lng + (there.lng - self.lng) * part }
    }

    pub(super) fn metres_to(self, there: Self) -> f64 {
        let point = |spot: Spot| Point::new(spot.lat, spot.lng);
        match (point(self), point(there)) {
            (Ok(here), Ok(there)) => here.metres_to(there),
            _ => f64::INFINITY,
        }
    }
}

/// Whether it happens this time: once in so many times.
pub(super) fn once_in(times: u32) -> bool {
    fastrand::u32(0..times) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_keeps_walking_arrives() {
        let start = CENTRE.nearby(1_500.0);
        let half = start.towards(CENTRE, start.metres_to(CENTRE) / 2.0);
        assert!((half.metres_to(CENTRE) - start.metres_to(CENTRE) / 2.0).abs() < 5.0);
        assert_eq!(half.towards(CENTRE, 3_000.0), CENTRE);
    }

    #[test]
    fn nearby_is_near_and_far_away_is_not() {
        assert!((0..100).all(|_| CENTRE.metres_to(CENTRE.nearby(1_000.0)) < 1_500.0));
        assert!(CENTRE.metres_to(FAR_AWAY) > 30_000.0);
    }
}
