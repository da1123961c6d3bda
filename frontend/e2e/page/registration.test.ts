import { expect, test } from '../harness/fixtures';
import { expectAccessible } from '../harness/accessible';
import { CLIENT_ID, CLIENT_SECRET, PUBLIC_CLIENT_ID } from '../harness/ehr';
import { goTo, register, section } from './form';

test('Save tests by itself, check by check, and the test can be cancelled', async ({ open, ehr }) => {
  const { page, record } = await open();
  const tests = section(page, 'Test');
  const checks = tests.getByRole('region', { name: 'Configuration checks' }).getByRole('listitem');
  const release = ehr.hold('/fhir/.well-known/smart-configuration');

  await register(page, { name: 'Slow EHR', fhirBaseURL: ehr.fhirBaseURL, clientID: PUBLIC_CLIENT_ID });
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Saved. The configuration test starts by itself.')).not.toHaveCount(0);
  await expect(page.getByRole('heading', { name: 'Slow EHR', level: 1 })).toBeVisible();
  // The EHR does not answer yet: what was found so far is there, and the test goes on.
  await expect(tests.getByText('Testing. Each check appears as it finishes.')).toBeVisible();
  await expect(checks.first()).toContainText('Passed');
  await expect(tests.getByText('Every check that ran has passed.')).toBeHidden();
  const soFar = await checks.count();
  await expectAccessible(page, 'A test that runs');
  release();
  await expect(tests.getByText('Every check that ran has passed.')).toBeVisible();
  expect(await checks.count(), 'checks at the end').toBeGreaterThan(soFar);
  const told = record.events<{ check: { id: string } | null }>('test').filter((event) => event.check);
  expect(told.length, 'events, one a check').toBe(await checks.count());

  const again = ehr.hold('/fhir/.well-known/smart-configuration');
  await tests.getByRole('button', { name: 'Test configuration' }).click();
  await tests.getByRole('button', { name: 'Cancel test' }).click();
  await expect(tests.getByRole('button', { name: 'Test configuration' })).toBeVisible();
  again();
});

test('what is wrong is told at the field', async ({ open }) => {
  const { page } = await open();
  await page.getByRole('button', { name: 'Register an EHR' }).click();
  const base = page.getByLabel('FHIR base URL', { exact: true });
  const name = page.getByLabel('Name', { exact: true });
  const clientID = page.getByLabel('Client ID', { exact: true });

  // Told when the field is left, before Save; and not while it is right.
  await name.fill('A name');
  await clientID.fill('abc');
  await page.getByLabel('Scopes', { exact: true }).focus();
  await expect(clientID).not.toHaveAttribute('aria-invalid');
  await name.fill('');
  await clientID.fill('');
  await base.fill('http://fhir.example.org/r4');
  await page.getByLabel('Scopes', { exact: true }).focus();
  await expect(base).toHaveAttribute('aria-invalid', 'true');
  await expect(base).toHaveAccessibleDescription(/https/);

  await page.getByRole('button', { name: 'Save' }).click();
  await expect(name).toHaveAttribute('aria-invalid', 'true');
  await expect(name).toHaveAccessibleDescription(/The name is missing/);
  await expect(clientID).toHaveAccessibleDescription(/The client ID is missing/);
  await expect(name, 'the first field that is wrong').toBeFocused();
  await expect(page.getByRole('status').filter({ hasText: 'Not saved. Some fields need another value.' })).toHaveCount(1);
  await expectAccessible(page, 'A registration with field errors');

  // A redirect URI that is no loopback address, and a scope that is none.
  await page.getByRole('textbox', { name: 'Redirect URI 1' }).fill('https://example.org/callback');
  await page.getByLabel('Scopes', { exact: true }).fill('openid patient/Nonsense.xyz');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('textbox', { name: 'Redirect URI 1' })).toHaveAttribute('aria-invalid', 'true');
  await expect(page.getByRole('textbox', { name: 'Redirect URI 1' })).toHaveAccessibleDescription(/Error/);
  await expect(page.getByLabel('Scopes', { exact: true })).toHaveAccessibleDescription(/Nonsense/);

  // Put right, each complaint goes.
  await name.fill('Right EHR');
  await base.fill('https://fhir.example.org/r4');
  await clientID.focus();
  await expect(base).not.toHaveAttribute('aria-invalid');
  await expect(name).not.toHaveAttribute('aria-invalid');
  // Nothing was saved in the meantime.
  await goTo(page, 'Connections');
  await page.getByRole('alertdialog').getByRole('button', { name: 'Discard edits' }).click();
  await expect(page.getByRole('heading', { name: 'No EHR is registered yet' })).toBeVisible();
});

test('a complaint does not move a button away while it is pressed', async ({ open }) => {
  const { page } = await open();
  await page.getByRole('button', { name: 'Register an EHR' }).click();
  const base = page.getByLabel('FHIR base URL', { exact: true });
  await page.getByRole('radio', { name: 'Other' }).check();
  await base.fill('http://fhir.example.org/r4');
  // Pressed slowly: leaving the field has Go look at it, which takes less time than a press.
  await page.getByRole('button', { name: 'Save' }).click({ delay: 1000 });
  await expect(page.getByRole('status').filter({ hasText: 'Not saved. Some fields need another value.' })).toHaveCount(1);
  await expect(base).toHaveAccessibleDescription(/https/);
});

test('Epic’s sandbox fills in its base URL, and what was typed stays', async ({ open }) => {
  const { page } = await open();
  await page.getByRole('button', { name: 'Register an EHR' }).click();
  const base = page.getByLabel('FHIR base URL', { exact: true });
  await expect(page.getByRole('radio', { name: 'Epic' })).toBeChecked();
  await expect(page.getByRole('radio', { name: 'Sandbox' })).toBeChecked();
  await expect(base).toHaveValue('https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4/');
  await expect(page.getByRole('textbox', { name: 'Redirect URI 1' })).toHaveValue('http://localhost:18320/callback');
  await page.getByRole('radio', { name: 'Production' }).check();
  await expect(base).toHaveValue('');
  await page.getByRole('radio', { name: 'Sandbox' }).check();
  await expect(base).toHaveValue('https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4/');
  const patientScopes = await page.getByLabel('Scopes', { exact: true }).inputValue();
  await page.getByRole('radio', { name: 'Provider' }).check();
  await expect(page.getByLabel('Scopes', { exact: true })).not.toHaveValue(patientScopes);
  await base.fill('https://hospital.example/api/FHIR/R4/');
  await page.getByRole('radio', { name: 'Production' }).check();
  await page.getByRole('radio', { name: 'Sandbox' }).check();
  await expect(base).toHaveValue('https://hospital.example/api/FHIR/R4/');
  // What to enter at the EHR follows the form, each line with a button that copies it.
  const kit = page.getByRole('complementary', { name: 'What to enter at the EHR' });
  await expect(kit).toContainText('http://localhost:18320/callback');
  await kit.getByRole('button', { name: 'Copy redirect URI 1' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Copied redirect URI 1' })).toHaveCount(1);
  await expectAccessible(page, 'A new registration');
});

test('leaving unsaved edits asks', async ({ open, desk }) => {
  await desk.chartkey(['registration', 'add', '--name', 'Edited EHR', '--fhir-base-url', 'http://localhost:9/fhir', '--client-id', 'c', '--no-test']);
  const { page } = await open();
  await page.getByRole('button', { name: 'Edited EHR', exact: true }).click();
  const clientID = page.getByLabel('Client ID', { exact: true });
  const dialog = page.getByRole('alertdialog', { name: 'Leave without saving?' });

  await clientID.fill('another');
  await expect(page.getByText('Not saved yet')).toBeVisible();
  await goTo(page, 'Settings');
  await expect(dialog).toBeVisible();
  await expectAccessible(page, 'The dialog about unsaved edits');
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  await expect(clientID).toHaveValue('another');

  await goTo(page, 'Settings');
  await dialog.getByRole('button', { name: 'Keep editing' }).click();
  await expect(clientID).toHaveValue('another');

  await page.getByRole('button', { name: 'Undo edits' }).click();
  await expect(clientID).toHaveValue('c');
  await clientID.fill('another');
  await goTo(page, 'Settings');
  await dialog.getByRole('button', { name: 'Discard edits' }).click();
  await expect(page.getByRole('heading', { name: 'Settings', level: 1 })).toBeVisible();
  expect((await desk.chartkey(['registration', 'show', 'Edited EHR']))[0]?.client_id).toBe('c');
});

test('a client secret is written and never shown', async ({ open, desk, ehr, page }) => {
  const first = await open();
  await register(page, { name: 'Secret EHR', fhirBaseURL: ehr.fhirBaseURL, clientID: CLIENT_ID, clientSecret: CLIENT_SECRET });
  await expect(page.getByLabel('Client secret', { exact: true })).toHaveAttribute('type', 'password');
  await page.getByRole('button', { name: 'Save' }).click();
  const group = page.getByRole('group', { name: 'Client secret' });
  await expect(group.getByText('Set', { exact: true })).toBeVisible();
  await expect(page.getByLabel('Client secret', { exact: true }).and(page.locator('input'))).toHaveCount(0);
  expect(await page.content()).not.toContain(CLIENT_SECRET);
  await expect(section(page, 'Test').getByText('Every check that ran has passed.')).toBeVisible();
  await first.close();

  // Neither is it after a restart, nor offered to whoever replaces it.
  await open();
  await page.getByRole('button', { name: 'Secret EHR', exact: true }).click();
  await expect(group.getByText('Set', { exact: true })).toBeVisible();
  await group.getByRole('button', { name: 'Replace client secret' }).click();
  await expect(page.getByRole('textbox', { name: 'Client secret' })).toHaveValue('');
  await expect(page.getByRole('textbox', { name: 'Client secret' })).toBeFocused();
  await page.getByRole('button', { name: 'Keep the present secret' }).click();
  await group.getByRole('button', { name: 'Remove client secret' }).click();
  await expect(group.getByText('Removed when you save')).toBeVisible();
  await page.getByRole('radio', { name: 'Public' }).check();
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Saved. The configuration test starts by itself.')).not.toHaveCount(0);
  expect((await desk.chartkey(['registration', 'show', 'Secret EHR']))[0]?.client_secret).toBe('none');
});

test('a registration can be removed', async ({ open, desk }) => {
  await desk.chartkey(['registration', 'add', '--name', 'Old EHR', '--fhir-base-url', 'http://localhost:9/fhir', '--client-id', 'c', '--no-test']);
  const { page } = await open();
  await page.getByRole('button', { name: 'Old EHR', exact: true }).click();
  await page.getByRole('button', { name: 'Remove registration' }).click();
  await page.getByRole('alertdialog', { name: 'Remove Old EHR?' }).getByRole('button', { name: 'Keep it' }).click();
  await page.getByRole('button', { name: 'Remove registration' }).click();
  await page.getByRole('alertdialog', { name: 'Remove Old EHR?' }).getByRole('button', { name: 'Remove now' }).click();
  await expect(page.getByRole('heading', { name: 'No EHR is registered yet' })).toBeVisible();
  expect(await desk.chartkey(['registration', 'list'])).toEqual([]);
});

test('a test that fails says what to do', async ({ open }) => {
  const { page } = await open();
  await register(page, { name: 'Absent EHR', fhirBaseURL: 'http://localhost:9/fhir', clientID: 'c' });
  await page.getByRole('button', { name: 'Save' }).click();
  const tests = section(page, 'Test');
  await expect(tests.getByText('The test found a problem.')).toBeVisible();
  const failed = tests.getByRole('listitem').filter({ hasText: 'Failed' });
  await expect(failed.first()).toContainText('What to do:');
  await expectAccessible(page, 'A registration whose test failed');
  await page.getByRole('button', { name: 'Connect to Absent EHR' }).click();
  await expect(section(page, 'Connection').getByRole('alert')).toContainText('The sign-in could not begin');
});
