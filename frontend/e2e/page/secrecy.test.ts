import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '../harness/fixtures';
import { CLIENT_ID, CLIENT_SECRET } from '../harness/ehr';
import { Secrets, files } from '../harness/secrets';
import { register, section } from './form';

test('no token or secret is kept in the clear, sent to the page or printed', async ({ open, desk, ehr, systemBrowser }) => {
  const { page, record, window } = await open();
  const keptInTheClear = () => desk.secrets.inFiles(desk.kept);

  await test.step('register a confidential client, test, connect and read', async () => {
    await register(page, { name: 'Watched EHR', fhirBaseURL: ehr.fhirBaseURL, clientID: CLIENT_ID, clientSecret: CLIENT_SECRET });
    await page.getByRole('button', { name: 'Save' }).click();
    await expect(section(page, 'Test').getByText('Every check that ran has passed.')).toBeVisible();
    expect(keptInTheClear(), 'secrets in files, registered').toEqual([]);
    await page.getByRole('button', { name: 'Connect to Watched EHR' }).click();
    const end = await systemBrowser.signIn({ user: 'amara' });
    expect(end.url(), 'where the browser is left').not.toMatch(/code|state/);
    await expect(section(page, 'Connection').getByText('Connected to Watched EHR')).toBeVisible();
    await expect(section(page, 'Test').getByText('Every check that ran has passed.')).toBeVisible();
    await page.getByRole('button', { name: 'Read', exact: true }).click();
    await expect(section(page, 'Explore').getByRole('region', { name: 'JSON' })).toContainText('amara-nwosu');
    expect(keptInTheClear(), 'secrets in files, connected').toEqual([]);
  });

  await test.step('refresh, which brings new tokens', async () => {
    await page.getByRole('button', { name: 'Refresh', exact: true }).click();
    await expect(section(page, 'Connection').getByText('Refreshed', { exact: true })).toBeVisible();
    expect(keptInTheClear(), 'secrets in files, refreshed').toEqual([]);
  });

  await test.step('disconnect', async () => {
    await page.getByRole('button', { name: 'Disconnect', exact: true }).click();
    await page.getByRole('button', { name: 'Disconnect now' }).click();
    await expect(section(page, 'Connection').getByText('Disconnected; the EHR was told.')).toBeVisible();
    expect(ehr.requests, 'what reached the EHR').toContain('POST /auth/revoke');
    expect(keptInTheClear(), 'secrets in files, disconnected').toEqual([]);
  });

  await test.step('the search was for everything, and it finds what is there', async () => {
    for (const kind of ['client secret', 'vault passphrase', 'state', 'code', 'code verifier', 'access token', 'refresh token', 'id token']) {
      expect(desk.secrets.names.filter((name) => name.startsWith(kind)), `a ${kind} that came by`).not.toEqual([]);
    }
    // One of the sign-in and one of the refresh, at least.
    expect(desk.secrets.names.filter((name) => name.startsWith('access token')).length).toBeGreaterThanOrEqual(2);
    expect(files(desk.data).map((path) => path.slice(desk.data.length + 1))).toContain('chartkey.db');
    // The same search finds what is no secret, in files and in messages.
    const database = Buffer.concat(['chartkey.db', 'chartkey.db-wal'].flatMap((name) => read(join(desk.data, name))));
    expect(database.includes(CLIENT_ID), 'the client ID in the database').toBe(true);
    expect(record.received.some((message) => message.includes(CLIENT_ID)), 'the client ID in messages to the page').toBe(true);
    expect(desk.secrets.in(window.commandLine), 'secrets on the command line').toEqual([]);
    expect(await page.content(), 'the page').not.toContain(CLIENT_SECRET);
  });
});

test('the search finds a secret in each form that it could take', () => {
  const secrets = new Secrets();
  secrets.add('canary', CLIENT_SECRET);
  for (const before of ['', 'a', 'ab', 'abc']) {
    for (const after of ['', '?', '??', '???']) {
      const bytes = Buffer.from(before + CLIENT_SECRET + after);
      const forms = [bytes, bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('hex'), encodeURIComponent(bytes.toString()), Buffer.from(bytes.toString(), 'utf16le')];
      for (const form of forms) expect(secrets.in(form), form.toString()).not.toEqual([]);
    }
  }
  expect(secrets.in(CLIENT_SECRET.slice(1))).toEqual([]);
});

function read(path: string): Buffer[] {
  try {
    return [readFileSync(path)];
  } catch {
    return []; // the write-ahead log is there only while there is something in it
  }
}
