-- name: Vault :one
SELECT id, header FROM vault LIMIT 1;

-- name: InsertVault :exec
INSERT INTO vault (id, header, created_at, updated_at) VALUES (?, ?, ?, ?);

-- name: UpdateVault :exec
UPDATE vault SET header = ?, updated_at = ? WHERE id = ?;

-- name: DataKey :one
SELECT wrapped, kdf FROM data_key WHERE owner = ?;

-- name: InsertDataKey :exec
INSERT INTO data_key (owner, wrapped, kdf, created_at) VALUES (?, ?, ?, ?);

-- name: RewrapDataKey :execrows
UPDATE data_key SET wrapped = sqlc.arg(wrapped), kdf = sqlc.arg(kdf) WHERE owner = sqlc.arg(owner) AND wrapped = sqlc.arg(read_wrapped);

-- name: DeleteDataKey :exec
DELETE FROM data_key WHERE owner = ?;

-- name: DataKeys :many
SELECT owner, kdf FROM data_key;

-- name: Profiles :many
SELECT * FROM profile ORDER BY created_at, id;

-- name: Profile :one
SELECT * FROM profile WHERE id = ?;

-- name: InsertProfile :exec
INSERT INTO profile (id, name, role, created_at) VALUES (?, ?, ?, ?);

-- name: DeleteProfile :execrows
DELETE FROM profile WHERE id = ?;

-- name: CountProfiles :one
SELECT count(*) FROM profile;

-- name: TryPasscode :one
-- Counts an attempt before it is made, so that attempts at the same time count too.
UPDATE profile SET wrong_passcodes = wrong_passcodes + 1, passcode_after = sqlc.arg(next_after)
WHERE id = sqlc.arg(id) AND passcode_after <= sqlc.arg(now) AND wrong_passcodes = sqlc.arg(read_wrong)
RETURNING wrong_passcodes;

-- name: SetPasscodeAfter :exec
UPDATE profile SET passcode_after = sqlc.arg(next_after) WHERE id = sqlc.arg(id) AND passcode_after = sqlc.arg(read_after);

-- name: ForgiveProfile :exec
UPDATE profile SET wrong_passcodes = 0, passcode_after = 0 WHERE id = ?;

-- name: Registrations :many
SELECT * FROM registration ORDER BY name COLLATE NOCASE, id;

-- name: Registration :one
SELECT * FROM registration WHERE id = ?;

-- name: RegistrationByName :one
SELECT * FROM registration WHERE name = ? COLLATE NOCASE;

-- name: AppsByIssuer :many
SELECT * FROM registration WHERE issuer = ? AND kind = 'app' ORDER BY name COLLATE NOCASE, id;

-- name: InsertRegistration :exec
INSERT INTO registration (id, name, ehr, environment, fhir_base_url, issuer, client_id, client_type, client_secret, auth_method,
                          audience, scopes, redirect_uris, created_at, updated_at, offline_access, patient_needed, access_period_days, access_period_rolling, kind)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: UpdateRegistration :execrows
UPDATE registration
SET name = ?, ehr = ?, environment = ?, fhir_base_url = ?, issuer = ?, client_id = ?, client_type = ?, client_secret = ?, auth_method = ?,
    audience = ?, scopes = ?, redirect_uris = ?, updated_at = ?, offline_access = ?, patient_needed = ?, access_period_days = ?, access_period_rolling = ?
WHERE id = sqlc.arg(id) AND updated_at = sqlc.arg(read_at);

-- name: SetAuthMethod :exec
UPDATE registration SET auth_method = ? WHERE id = ?;

-- name: DeleteRegistration :execrows
DELETE FROM registration WHERE id = ?;

-- name: StandaloneGrant :one
SELECT * FROM grants WHERE registration_id = ? AND profile_id = ? AND kind = 'standalone' AND accepted = 1;

-- name: Grant :one
SELECT * FROM grants WHERE id = ? AND profile_id = ?;

-- name: LatestLaunchGrant :one
SELECT * FROM grants WHERE registration_id = ? AND profile_id = ? AND kind = 'launch' AND accepted = 1
ORDER BY connected_at DESC, id LIMIT 1;

-- name: OldLaunchGrants :many
SELECT id FROM grants WHERE registration_id = ? AND profile_id = ? AND kind = 'launch'
ORDER BY accepted DESC, connected_at DESC, id LIMIT -1 OFFSET ?;

-- name: AcceptGrant :execrows
UPDATE grants SET accepted = 1, context = ? WHERE id = sqlc.arg(id) AND version = sqlc.arg(read_version);

-- name: GrantsOfProfile :many
SELECT * FROM grants WHERE profile_id = ? ORDER BY connected_at, id;

-- name: GrantsOfRegistration :many
SELECT * FROM grants WHERE registration_id = ? ORDER BY connected_at, id;

-- name: InsertGrant :exec
INSERT INTO grants (id, registration_id, profile_id, kind, version, fhir_base_url, access_token, refresh_token, context,
                    scopes_requested, scopes_granted, access_expires_at, ended, last_error, connected_at, refreshed_at, accepted, refresh_expires_at, instance)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: RenewGrant :execrows
UPDATE grants
SET version = version + 1, access_token = ?, refresh_token = ?, context = ?, scopes_granted = ?, access_expires_at = ?,
    ended = '', last_error = '', refreshed_at = ?, refresh_expires_at = ?, refresh_began = NULL
WHERE id = sqlc.arg(id) AND version = sqlc.arg(read_version);

-- name: BeginRefresh :execrows
-- An earlier one, whose answer is still not known, stays.
UPDATE grants SET refresh_began = coalesce(refresh_began, sqlc.arg(at)) WHERE id = sqlc.arg(id) AND version = sqlc.arg(read_version);

-- name: EndRefresh :exec
UPDATE grants SET refresh_began = NULL WHERE id = sqlc.arg(id) AND version = sqlc.arg(read_version);

-- name: SetGrantContext :exec
UPDATE grants SET context = ? WHERE id = ? AND version = ?;

-- name: SetGrantError :execrows
UPDATE grants SET ended = ?, last_error = ? WHERE id = sqlc.arg(id) AND version = sqlc.arg(read_version);

-- name: DeleteGrant :execrows
DELETE FROM grants WHERE id = ?;

-- name: DeleteStandaloneGrant :exec
-- The one in use, or the one that waits beside it.
DELETE FROM grants WHERE registration_id = ? AND profile_id = ? AND kind = 'standalone' AND accepted = ?;

-- name: DeleteGrantsOfProfile :exec
DELETE FROM grants WHERE profile_id = ?;

-- name: DeleteTestReportsOfProfile :exec
DELETE FROM test_report WHERE profile_id = ?;

-- name: Account :one
SELECT account FROM account WHERE registration_id = ? AND profile_id = ?;

-- name: SaveAccount :exec
INSERT INTO account (registration_id, profile_id, account) VALUES (?, ?, ?)
ON CONFLICT (registration_id, profile_id) DO UPDATE SET account = excluded.account;

-- name: DeleteConnectFailuresOfProfile :exec
DELETE FROM connect_failure WHERE profile_id = ?;

-- name: DeleteAccountsOfProfile :exec
DELETE FROM account WHERE profile_id = ?;

-- name: AuditChain :one
SELECT head, key FROM audit_chain;

-- name: SaveAuditHead :exec
INSERT INTO audit_chain (only_one, head) VALUES (1, ?) ON CONFLICT (only_one) DO UPDATE SET head = excluded.head;

-- name: SetAuditKey :execrows
UPDATE audit_chain SET key = ? WHERE key IS NULL;

-- name: AppendAudit :exec
INSERT INTO audit (seq, body, patient, mac, keyed) VALUES (?, ?, ?, ?, ?);

-- name: AuditAfter :many
SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?;

-- name: AuditBefore :many
SELECT * FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?;

-- name: DropAuditThrough :execrows
DELETE FROM audit WHERE seq <= ?;

-- name: Discovery :one
SELECT * FROM discovery WHERE fhir_base_url = ?;

-- name: AllDiscovery :many
SELECT * FROM discovery;

-- name: SaveDiscovery :exec
INSERT INTO discovery (fhir_base_url, configuration, fetched_at, expires_at) VALUES (?, ?, ?, ?)
ON CONFLICT (fhir_base_url) DO UPDATE
SET configuration = excluded.configuration, fetched_at = excluded.fetched_at, expires_at = excluded.expires_at;

-- name: TestReport :one
SELECT * FROM test_report WHERE registration_id = ? AND profile_id = ?;

-- name: TestReportsOfProfile :many
SELECT registration_id, layer, ok, started_at FROM test_report WHERE profile_id = ?;

-- name: SaveTestReport :exec
INSERT INTO test_report (registration_id, profile_id, layer, ok, started_at, report) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (registration_id, profile_id) DO UPDATE
SET layer = excluded.layer, ok = excluded.ok, started_at = excluded.started_at, report = excluded.report;

-- name: DeleteTestReport :exec
DELETE FROM test_report WHERE registration_id = ? AND profile_id = ?;

-- name: ConnectFailures :many
SELECT * FROM connect_failure WHERE profile_id = ?;

-- name: SaveConnectFailure :exec
INSERT INTO connect_failure (registration_id, profile_id, error, at) VALUES (?, ?, ?, ?)
ON CONFLICT (registration_id, profile_id) DO UPDATE SET error = excluded.error, at = excluded.at;

-- name: DeleteConnectFailure :exec
DELETE FROM connect_failure WHERE registration_id = ? AND profile_id = ?;

-- name: CountSealed :one
SELECT (SELECT count(*) FROM grants) + (SELECT count(*) FROM data_key) + (SELECT count(*) FROM audit WHERE patient IS NOT NULL)
     + (SELECT count(*) FROM registration WHERE client_secret IS NOT NULL) AS sealed;

-- name: Issuers :many
SELECT * FROM issuer ORDER BY last_seen DESC, issuer;

-- name: FindIssuer :one
SELECT * FROM issuer WHERE issuer = ?;

-- name: SeeIssuer :exec
INSERT INTO issuer (issuer, received, decision, registration_id, launches, first_seen, last_seen, decided_at)
VALUES (?, ?, 'pending', NULL, 1, sqlc.arg(seen_at), sqlc.arg(seen_at), NULL)
ON CONFLICT (issuer) DO UPDATE SET launches = launches + 1, last_seen = excluded.last_seen;

-- name: DecideIssuer :exec
INSERT INTO issuer (issuer, received, decision, registration_id, launches, first_seen, last_seen, decided_at)
VALUES (?, ?, ?, ?, 0, sqlc.arg(at), sqlc.arg(at), sqlc.arg(at))
ON CONFLICT (issuer) DO UPDATE
SET decision = excluded.decision, registration_id = excluded.registration_id, decided_at = excluded.decided_at;

-- name: ForgetIssuer :execrows
DELETE FROM issuer WHERE issuer = ?;

-- name: ForgetPendingIssuer :exec
DELETE FROM issuer WHERE issuer = ? AND decision = 'pending';

-- name: ForgetIssuersOf :exec
DELETE FROM issuer WHERE registration_id = ?;

-- name: ForgetOldPendingIssuers :exec
DELETE FROM issuer WHERE decision = 'pending'
  AND issuer NOT IN (SELECT i.issuer FROM issuer i WHERE i.decision = 'pending' ORDER BY i.last_seen DESC LIMIT ?);

-- name: Setting :one
SELECT value FROM setting WHERE name = ?;

-- name: DeleteSetting :exec
DELETE FROM setting WHERE name = ?;

-- name: SetSetting :exec
INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: ClientKeys :many
SELECT * FROM client_key WHERE registration_id = ? ORDER BY signs DESC, created_at DESC, kid;

-- name: SigningKey :one
SELECT * FROM client_key WHERE registration_id = ? AND signs = 1;

-- name: AllPublicKeys :many
SELECT client_key.kid, client_key.public, registration.fhir_base_url FROM client_key JOIN registration ON registration.id = client_key.registration_id
ORDER BY client_key.signs DESC, client_key.created_at, client_key.kid;

-- name: InsertClientKey :exec
INSERT INTO client_key (registration_id, kid, private, public, signs, created_at, certificate) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: RetireSigningKey :exec
UPDATE client_key SET signs = 0 WHERE registration_id = ?;

-- name: SignWithKey :execrows
UPDATE client_key SET signs = 1 WHERE registration_id = ? AND kid = ?;

-- name: DeleteClientKey :execrows
DELETE FROM client_key WHERE registration_id = ? AND kid = ? AND signs = 0;

-- name: NetworkWay :one
SELECT * FROM network_way WHERE way_of = ?;

-- name: NetworkWaysTo :many
-- The workstation's own way, and those of the registrations with this base URL.
SELECT * FROM network_way WHERE way_of = 'workstation' OR way_of IN (SELECT id FROM registration WHERE fhir_base_url = ?) ORDER BY way_of;

-- name: SaveNetworkWay :exec
INSERT INTO network_way (way_of, proxy, proxy_password, authorities, client_chain, client_key, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (way_of) DO UPDATE
SET proxy = excluded.proxy, proxy_password = excluded.proxy_password, authorities = excluded.authorities,
    client_chain = excluded.client_chain, client_key = excluded.client_key, updated_at = excluded.updated_at;

-- name: DeleteNetworkWay :exec
DELETE FROM network_way WHERE way_of = ?;

-- name: LocalhostAuthority :one
SELECT certificate, key, created_at FROM localhost_authority;

-- name: SaveLocalhostAuthority :exec
INSERT INTO localhost_authority (only_one, certificate, key, created_at) VALUES (1, ?, ?, ?)
ON CONFLICT (only_one) DO UPDATE SET certificate = excluded.certificate, key = excluded.key, created_at = excluded.created_at;

-- name: DeleteLocalhostAuthority :execrows
DELETE FROM localhost_authority;

-- name: Failure :one
SELECT facts, at FROM failure WHERE registration_id = ? AND profile_id = ?;

-- name: SaveFailure :exec
INSERT INTO failure (registration_id, profile_id, facts, at) VALUES (?, ?, ?, ?)
ON CONFLICT (registration_id, profile_id) DO UPDATE SET facts = excluded.facts, at = excluded.at;

-- name: DeleteFailure :exec
DELETE FROM failure WHERE registration_id = ? AND profile_id = ?;

-- name: DeleteFailuresOfProfile :exec
DELETE FROM failure WHERE profile_id = ?;

-- name: AddTrace :one
INSERT INTO trace (registration_id, profile_id, trace, at) VALUES (?, ?, ?, ?) RETURNING id;

-- name: SealTrace :exec
UPDATE trace SET trace = ? WHERE id = ?;

-- name: DropOldTraces :exec
DELETE FROM trace WHERE trace.registration_id = sqlc.arg(registration_id) AND trace.profile_id = sqlc.arg(profile_id)
  AND trace.id NOT IN (SELECT t.id FROM trace t WHERE t.registration_id = sqlc.arg(registration_id) AND t.profile_id = sqlc.arg(profile_id) ORDER BY t.id DESC LIMIT sqlc.arg(kept));

-- name: Traces :many
SELECT * FROM trace WHERE profile_id = ? ORDER BY id DESC LIMIT ?;

-- name: TracesOf :many
SELECT * FROM trace WHERE profile_id = ? AND registration_id = ? ORDER BY id DESC LIMIT ?;

-- name: FindTrace :one
SELECT * FROM trace WHERE id = ? AND profile_id = ?;

-- name: DeleteTracesOfProfile :exec
DELETE FROM trace WHERE profile_id = ?;
