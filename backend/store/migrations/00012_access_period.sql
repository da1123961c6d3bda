-- +goose Up
-- How long the EHR lets a person stay connected, as its operator told; 0 is not known. Rolling: counted from the last refresh.
ALTER TABLE registration ADD COLUMN access_period_days INTEGER NOT NULL DEFAULT 0;
ALTER TABLE registration ADD COLUMN access_period_rolling INTEGER NOT NULL DEFAULT 0 CHECK (access_period_rolling IN (0, 1));
