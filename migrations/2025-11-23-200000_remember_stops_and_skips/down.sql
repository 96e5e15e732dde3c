DROP TABLE aqueduct.skips;
DROP TABLE aqueduct.stops;
