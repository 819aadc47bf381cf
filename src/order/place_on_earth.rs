//! Where something is, and whether a store delivers there.

use serde::{Deserialize, Serialize};

use super::text::Text;

/// Mean radius of the earth, metres (IUGG).
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A point on the earth, degrees. Only built when latitude is within ±90 and longitude within ±180.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawPoint")]
pub struct Point {
    lat: f64,
    lng: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPoint {
    lat: f64,
    lng: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    #[error("a latitude is between -90 and 90, a longitude between -180 and 180")]
    OffTheEarth,
    #[error("an area needs a radius of 1 to 20,000,000 metres, or a polygon of 3 to 200 corners")]
    BadArea,
}

impl Point {
    pub fn new(lat: f64, lng: f64) -> Result<Self, BadPlace> {
        // NaN is in no range, so it is refused here too.
        if (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lng) {
            Ok(Self { lat, lng })
        } else {
            Err(BadPlace::OffTheEarth)
        }
    }

    pub const fn lat(self) -> f64 {
        self.lat
    }

    pub const fn lng(self) -> f64 {
        self.lng
    }

    /// Great-circle distance in metres by the haversine formula (R. W. Sinnott, "Virtues of the
    /// Haversine", Sky and Telescope 68, 1984): within 0.5 % of the ellipsoid, and steady for small distances.
    pub fn metres_to(self, other: Point) -> f64 {
        let (lat_a, lat_b) = (self.lat.to_radians(), other.lat.to_radians());
        let half_lat = ((lat_b - lat_a) / 2.0).sin();
        let half_lng = ((other.lng - self.lng).to_radians() / 2.0).sin();
        let chord = half_lat * half_lat + lat_a.cos() * lat_b.cos() * half_lng * half_lng;
        2.0 * EARTH_RADIUS_M * chord.clamp(0.0, 1.0).sqrt().asin()
    }
}

impl TryFrom<RawPoint> for Point {
    type Error = BadPlace;

    fn try_from(raw: RawPoint) -> Result<Self, BadPlace> {
        Self::new(raw.lat, raw.lng)
    }
}

/// An address: what people read, and the point that distances are measured from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawPlace")]
pub struct Place {
    pub text: Text<200>,
    #[serde(flatten)]
    pub point: Point,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Text<32>>,
}

/// Serde's `flatten` would accept any other field and read twice as slowly.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlace {
    text: Text<200>,
    lat: f64,
    lng: f64,
    #[serde(default)]
    phone: Option<Text<32>>,
}

impl TryFrom<RawPlace> for Place {
    type Error = BadPlace;

    fn try_from(raw: RawPlace) -> Result<Self, BadPlace> {
        Ok(Self { text: raw.text, point: Point::new(raw.lat, raw.lng)?, phone: raw.phone })
    }
}

/// Where a store delivers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "RawArea")]
pub enum Area {
    /// Within this many metres of the store.
    RadiusM(f64),
    /// Inside these corners, (latitude, longitude), the last joined to the first.
    Polygon(Box<[(f64, f64)]>),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawArea {
    RadiusM(f64),
    Polygon(Vec<(f64, f64)>),
}

impl TryFrom<RawArea> for Area {
    type Error = BadPlace;

    fn try_from(raw: RawArea) -> Result<Self, BadPlace> {
        match raw {
            RawArea::RadiusM(metres) if (1.0..=20_000_000.0).contains(&metres) => Ok(Area::RadiusM(metres)),
            RawArea::RadiusM(_) => Err(BadPlace::BadArea),
            RawArea::Polygon(corners) => {
                // 200 corners: a city district drawn by hand has fewer, and each order walks them all.
                if !(3..=200).contains(&corners.len()) {
                    return Err(BadPlace::BadArea);
                }
                for &(lat, lng) in &corners {
                    Point::new(lat, lng)?;
                }
                Ok(Area::Polygon(corners.into()))
            }
        }
    }
}

impl Area {
    /// Whether `place` lies in the area of a store that stands at `store`.
    ///
    /// A polygon is read on the flat map of degrees, which is exact enough for delivery areas away from the
    /// poles; one that crosses the 180th meridian is unwrapped around its first corner.
    pub fn covers(&self, store: Point, place: Point) -> bool {
        match self {
            Area::RadiusM(metres) => store.metres_to(place) <= *metres,
            Area::Polygon(corners) => inside(corners, place),
        }
    }
}

/// The even-odd rule (W. R. Franklin, PNPOLY): a ray from the point crosses the outline an odd number of times.
fn inside(corners: &[(f64, f64)], place: Point) -> bool {
    let Some(&(_, origin)) = corners.first() else { return false };
    let unwrapped = |lng: f64| {
        let offset = lng - origin;
        if offset > 180.0 {
            offset - 360.0
        } else if offset < -180.0 {
            offset + 360.0
        } else {
            offset
        }
    };
    let (y, x) = (place.lat, unwrapped(place.lng));
    let mut odd = false;
    let mut previous = corners[corners.len() - 1];
    for &corner in corners {
        let ((lat_a, lng_a), (lat_b, lng_b)) = (corner, previous);
        let (lng_a, lng_b) = (unwrapped(lng_a), unwrapped(lng_b));
        if (lat_a > y) != (lat_b > y) && x < (lng_b - lng_a) * (y - lat_a) / (lat_b - lat_a) + lng_a {
            odd = !odd;
        }
        previous = corner;
    }
    odd
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(lat: f64, lng: f64) -> Point {
        Point::new(lat, lng).unwrap()
    }

    #[test]
    fn seoul_city_hall_to_busan_city_hall_is_325_km() {
        let metres = point(37.5663, 126.9779).metres_to(point(35.1798, 129.0750));
        assert!((324_000.0..327_000.0).contains(&metres), "{metres}");
    }

    #[test]
    fn a_latitude_of_91_or_nan_is_not_on_the_earth() {
        for (lat, lng) in [(91.0, 0.0), (0.0, -180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(Point::new(lat, lng), Err(BadPlace::OffTheEarth));
        }
    }

    #[test]
    fn a_radius_ends_where_it_says() {
        let store = point(37.5, 127.0);
        let area = Area::RadiusM(3_000.0);
        assert!(area.covers(store, point(37.5269, 127.0)), "2,991 m north");
        assert!(!area.covers(store, point(37.5271, 127.0)), "3,013 m north");
    }

    #[test]
    fn a_polygon_with_a_bay_does_not_cover_the_bay() {
        let bay = vec![(0.0, 0.0), (0.0, 4.0), (4.0, 4.0), (4.0, 3.0), (1.0, 2.0), (4.0, 1.0), (4.0, 0.0)];
        let area = Area::Polygon(bay.into());
        assert!(area.covers(point(0.0, 0.0), point(0.5, 2.0)));
        assert!(!area.covers(point(0.0, 0.0), point(3.0, 2.0)));
    }

    #[test]
    fn a_polygon_may_cross_the_date_line() {
        let fiji = vec![(-18.0, 179.0), (-18.0, -179.0), (-16.0, -179.0), (-16.0, 179.0)];
        let area = Area::Polygon(fiji.into());
        let store = point(-17.0, 179.5);
        assert!(area.covers(store, point(-17.0, -179.5)));
        assert!(!area.covers(store, point(-17.0, 178.0)));
    }

    #[test]
    fn an_area_of_two_corners_is_refused() {
        let two = r#"{"polygon": [[0.0, 0.0], [1.0, 1.0]]}"#;
        assert!(serde_json::from_str::<Area>(two).is_err());
        assert!(serde_json::from_str::<Area>(r#"{"radius_m": 0}"#).is_err());
    }
}
