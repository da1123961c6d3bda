import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectAccessible } from '../harness/accessible';
import { run } from '../harness/child';
import { PUBLIC_CLIENT_ID } from '../harness/ehr';
import { expect, test } from '../harness/fixtures';
import { until } from '../harness/until';
import { goTo, section } from './form';
import { addClinician, OKAFOR_PASSCODE, OWNER_PASSCODE, switchTo, unlock } from './people';

test('the record tells who did what, that it is whole, and leaves as a file', async ({ open, desk, display, ehr, page, systemBrowser }) => {
  await desk.chartkey(['registration', 'add', '--name', 'General', '--fhir-base-url', ehr.fhirBaseURL, '--client-id', PUBLIC_CLIENT_ID, '--no-test']);
  const first = await open();
  await addClinician(page, desk);
  await switchTo(page, 'owner', 'dr.okafor', OKAFOR_PASSCODE);
  await page.getByRole('button', { name: 'Connect to General' }).click();
  await systemBrowser.signIn({ user: 'amara' });
  await expect(section(page, 'Test').getByText('Every check that ran has passed.')).toBeVisible();
  await page.getByLabel('FHIR path').fill('Observation?patient=amara-nwosu');
  await page.getByRole('button', { name: 'Read', exact: true }).click();
  await expect(section(page, 'Explore').getByRole('region', { name: 'JSON' })).toContainText('Bundle');
  await page.getByLabel('FHIR path').fill('Patient/nobody');
  await page.getByRole('button', { name: 'Read', exact: true }).click();
  await expect(section(page, 'Explore').getByRole('region', { name: 'JSON' })).toBeHidden();
  await switchTo(page, 'dr.okafor', 'owner', OWNER_PASSCODE);
  await goTo(page, 'Activity');

  const table = page.getByRole('table', { name: 'Activities' });
  const rows = table.getByRole('row');
  await test.step('who, what, where, of whom and how it ended', async () => {
    await expect(table.getByRole('row', { name: 'Searched Observation' })).toHaveText(/dr\.okafor.*Searched Observation.*General.*Patient\/amara-nwosu.*Done.*window/s);
    await expect(table.getByRole('row', { name: 'Added dr.okafor (clinician)' })).toHaveText(/owner.*Done/s);
    await expect(table.getByRole('row', { name: 'Added the registration' })).toHaveText(/owner.*General.*command line/s);
    await expect(table.getByRole('row', { name: 'Connected' })).toHaveText(/dr\.okafor.*General.*Done/s);
    await expectAccessible(page, 'Activity');
  });

  await test.step('what is looked for is found', async () => {
    const all = await rows.count();
    await page.getByRole('radio', { name: 'Failed' }).check();
    await expect(rows.nth(1)).toContainText('Failed');
    expect(await rows.count()).toBeLessThan(all);
    await page.getByRole('radio', { name: 'All' }).check();
    await page.getByLabel('Find').fill('OKAFOR search');
    await expect(rows).toHaveCount(2);
    await page.getByLabel('Find').fill('nothing like it');
    await expect(table).toContainText('Nothing fits.');
    await page.getByLabel('Find').fill('');
    await expect(rows).toHaveCount(all);
  });

  const whole = section(page, 'Is it whole?');
  const anchor = await test.step('it is whole, and its anchor is there to be kept', async () => {
    await expect(whole).toContainText('The record is whole');
    const text = await whole.locator('code').first().textContent();
    expect(text).toMatch(/^\d+:[0-9a-f]{32}$/);
    await whole.getByRole('button', { name: 'Copy anchor' }).click();
    await expect(page.getByRole('status').filter({ hasText: 'Copied anchor' })).toHaveCount(1);
    return text!;
  });

  await test.step('it is exported where the person says, or nowhere', async () => {
    const env = { ...desk.env, DISPLAY: display.name };
    const x = async (...args: string[]) => expect((await run('xdotool', args, { env })).code, `xdotool ${args[0]}`).toBe(0);
    const dialog = () =>
      until('the dialog that saves opens', async () => {
        const { out } = await run('xdotool', ['search', '--onlyvisible', '--name', '^Save'], { env });
        return out.trim().split('\n').at(-1) || undefined;
      });
    const gone = () => until('the dialog that saves closes', async () => (await run('xdotool', ['search', '--onlyvisible', '--name', '^Save'], { env })).out === '');
    const save = async (button: string, file: string) => {
      await page.getByRole('button', { name: button }).click();
      const id = await dialog();
      await x('windowfocus', '--sync', id);
      await x('key', 'ctrl+a');
      await x('type', '--delay', '8', '--', join(desk.root, file));
      await x('key', 'Return');
      await gone();
      await expect(page.getByRole('status').filter({ hasText: `Exported to ${join(desk.root, file)}` })).toHaveCount(1);
      return readFileSync(join(desk.root, file), 'utf8');
    };
    const lines = (await save('Export as NDJSON', 'activity.ndjson')).trim().split('\n');
    expect(lines.length).toBeGreaterThan(10);
    for (const line of lines) JSON.parse(line);
    expect(lines.join('\n')).toContain('"profile_name":"dr.okafor"');
    const bundle = JSON.parse(await save('Export as FHIR', 'activity.json')) as { resourceType: string; entry: { resource: { resourceType: string } }[] };
    expect(bundle.resourceType).toBe('Bundle');
    expect(new Set(bundle.entry.map((e) => e.resource.resourceType))).toEqual(new Set(['AuditEvent']));
    await expect(table.getByRole('row', { name: 'Exported the activity record as fhir' }), 'itself recorded').toBeVisible();

    await page.getByRole('button', { name: 'Export as FHIR' }).click();
    const id = await dialog();
    await x('windowfocus', '--sync', id);
    await x('key', 'Escape');
    await gone();
    await expect(page.getByRole('alert')).toHaveCount(0);
  });

  await test.step('the same is said on the command line, with the anchor that was kept', async () => {
    desk.givePasscode(OWNER_PASSCODE);
    const [found] = await desk.chartkey(['audit', 'verify', '--anchor', anchor]);
    expect(found?.ok).toBe(true);
  });

  await test.step('a change shows', async () => {
    await first.close();
    const database = join(desk.data, 'chartkey.db');
    const before = readFileSync(database, 'latin1');
    const after = before.replaceAll('"resource":"Observation"', '"resource":"AllergyList"');
    expect(after).not.toBe(before);
    writeFileSync(database, after, 'latin1');
    await open();
    await unlock(page, OWNER_PASSCODE);
    await goTo(page, 'Activity');
    await expect(whole).toContainText('The record is not whole');
    await expect(whole).toContainText(/Entry \d+ was changed\./);
    await expectAccessible(page, 'Activity, not whole');
  });
});

test('a long record comes in pages', async ({ open, desk }) => {
  const { page } = await open();
  // Each lock and unlock is recorded.
  await page.evaluate(async () => {
    const { Lock, Unlock } = (globalThis as unknown as { go: { main: { App: { Lock: () => Promise<void>; Unlock: (...args: string[]) => Promise<void> } } } }).go.main.App;
    for (let i = 0; i < 60; i++) {
      await Lock();
      await Unlock('', '', '', '');
    }
  });
  await goTo(page, 'Activity');
  const log = page.getByRole('region', { name: 'Activity record' });
  const rows = page.getByRole('table', { name: 'Activities' }).getByRole('row');
  await expect(rows).toHaveCount(101);
  await expect(log.getByText('Page 1 of 2')).toBeVisible();
  await log.getByRole('button', { name: 'Older' }).click();
  await expect(log.getByText('Page 2 of 2')).toBeVisible();
  await expect(log).toBeFocused();
  await expect(log.getByRole('button', { name: 'Older' })).toBeDisabled();
  expect(await rows.count()).toBeLessThan(101);
  await expectAccessible(page, 'Activity, its second page');
  // What is looked for starts at its first page.
  await page.getByLabel('Find').fill('unlocked');
  await expect(rows).toHaveCount(61);
  await expect(log.getByText(/^Page/)).toHaveCount(0);
  expect(await desk.chartkey(['audit', 'list', '--last', '5'])).toHaveLength(5);
});

test('an admin sets the policy, and a clinician sees it', async ({ open, desk }) => {
  const { page } = await open();
  await goTo(page, 'Settings');
  const policy = section(page, 'Lock and record');
  const minutes = policy.getByLabel('Lock after, in minutes');
  const days = policy.getByLabel('Keep the activity record, in days');
  await expect(minutes).toHaveValue('5');
  await expect(days).toHaveValue('2192');
  await minutes.fill('31');
  await policy.getByRole('button', { name: 'Save' }).click();
  await expect(policy.getByRole('alert')).toContainText('31 is no idle time to lock after.');
  await minutes.fill('1');
  await days.fill('365');
  await expect(policy).toContainText('What is older than 365 days is removed');
  await expectAccessible(page, 'Settings, with a policy to save');
  await policy.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Saved' })).toHaveCount(1);
  await expect(policy).not.toContainText('is removed');
  await goTo(page, 'Activity');
  await expect(page.getByText('Kept for 365 days')).toBeVisible();
  await expect(page.getByRole('row', { name: 'Set the time to the lock to 1 minutes' })).toBeVisible();
  await addClinician(page, desk);
  await switchTo(page, 'owner', 'dr.okafor', OKAFOR_PASSCODE);
  await goTo(page, 'Settings');
  await expect(policy).toContainText('1 minute');
  await expect(policy).toContainText('Kept for 365 days');
  await expect(policy.getByRole('button')).toHaveCount(0);
  await expectAccessible(page, 'Settings of a clinician');
});
