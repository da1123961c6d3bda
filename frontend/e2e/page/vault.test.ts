import { expect, test } from '../harness/fixtures';
import { expectAccessible } from '../harness/accessible';
import { PASSPHRASE } from '../harness/desk';
import { CLIENT_ID, CLIENT_SECRET, PUBLIC_CLIENT_ID } from '../harness/ehr';
import { goTo, register, section } from './form';

test('a locked vault is told, and opens with its passphrase alone', async ({ open, desk, ehr, systemBrowser, page }) => {
  await desk.chartkey(['registration', 'add', '--name', 'General', '--fhir-base-url', ehr.fhirBaseURL, '--client-id', PUBLIC_CLIENT_ID, '--no-test']);
  const first = await open();
  await page.getByRole('button', { name: 'Connect to General' }).click();
  await systemBrowser.signIn({ user: 'amara' });
  await expect(section(page, 'Connection').getByText('Connected to General')).toBeVisible();
  await expect(section(page, 'Test').getByText('Every check that ran has passed.')).toBeVisible();
  await first.close();

  desk.forgetPassphrase();
  await open();
  const notice = page.getByRole('region', { name: 'Vault notice' });
  await expect(notice).toContainText('The vault is locked.');
  // It comes a moment after the rail, and must not move it from under the pointer.
  expect((await page.getByRole('navigation', { name: 'Places' }).boundingBox())?.y, 'where the rail begins').toBe(0);
  await expect(page.getByText('Vault locked')).toBeVisible();
  const row = page.getByRole('row', { name: /General/ });
  await expect(row).toContainText('Locked');
  await expect(row, 'who it is, sealed too').not.toContainText(/nwosu/i);
  await expectAccessible(page, 'Connections, locked');

  await notice.getByRole('button', { name: 'Unlock the vault' }).click();
  const dialog = page.getByRole('dialog', { name: 'Unlock the vault' });
  const passphrase = dialog.getByLabel('Passphrase');
  await expect(passphrase).toBeFocused();
  await expect(passphrase).toHaveAttribute('type', 'password');
  await passphrase.fill('not this passphrase');
  await dialog.getByRole('button', { name: 'Unlock', exact: true }).click();
  await expect(dialog.getByRole('alert')).toContainText(/passphrase/i);
  await expectAccessible(page, 'The unlock dialog');
  await passphrase.fill(PASSPHRASE);
  await dialog.getByRole('button', { name: 'Unlock', exact: true }).click();
  await expect(dialog).toBeHidden();
  await expect(notice).toBeHidden();
  await expect(row).toContainText('Connected');
  await expect(row).toContainText('Patient/amara-nwosu');
  await page.getByRole('button', { name: 'Open General' }).click();
  await page.getByRole('button', { name: 'Test all' }).click();
  await expect(section(page, 'Test').getByText('Every check that ran has passed.')).toBeVisible();
});

test('without a keyring, the window asks for a first passphrase', async ({ open, desk, ehr, systemBrowser }) => {
  desk.forgetPassphrase();
  await desk.chartkey(['registration', 'add', '--name', 'General', '--fhir-base-url', ehr.fhirBaseURL, '--client-id', PUBLIC_CLIENT_ID, '--no-test']);
  const { page } = await open();
  const notice = page.getByRole('region', { name: 'Vault notice' });
  await expect(notice).toContainText('The vault has no key yet.');
  await expectAccessible(page, 'Connections, with an unprotected vault');
  await notice.getByRole('button', { name: 'Protect the vault' }).click();
  const dialog = page.getByRole('dialog', { name: 'Protect the vault' });
  await dialog.getByLabel('Passphrase', { exact: true }).fill(PASSPHRASE);
  await dialog.getByLabel('Repeat the passphrase').fill(`${PASSPHRASE}x`);
  await dialog.getByRole('button', { name: 'Create passphrase' }).click();
  await expect(dialog.getByLabel('Repeat the passphrase')).toHaveAccessibleDescription(/The two passphrases differ/);
  await dialog.getByLabel('Repeat the passphrase').fill(PASSPHRASE);
  await dialog.getByRole('button', { name: 'Create passphrase' }).click();
  await expect(dialog).toBeHidden();
  await expect(notice).toBeHidden();
  await page.getByRole('button', { name: 'Connect to General' }).click();
  await systemBrowser.signIn({ user: 'maria' });
  await expect(section(page, 'Connection').getByText('Connected to General')).toBeVisible();
});

test('with a keyring, nothing is asked', async ({ open, desk, ehr, systemBrowser, page }) => {
  desk.forgetPassphrase();
  await desk.keyring();
  const first = await open();
  await expect(page.getByRole('region', { name: 'Vault notice' })).toBeHidden();
  await register(page, { name: 'General', fhirBaseURL: ehr.fhirBaseURL, clientID: CLIENT_ID, clientSecret: CLIENT_SECRET });
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(section(page, 'Test').getByText('Every check that ran has passed.')).toBeVisible();
  await page.getByRole('button', { name: 'Connect to General' }).click();
  await systemBrowser.signIn({ user: 'amara' });
  await expect(section(page, 'Connection').getByText('Connected to General')).toBeVisible();
  await expect(section(page, 'Test').getByText('Every check that ran has passed.')).toBeVisible();
  await first.close();

  // The key is in the keyring: after a restart too, nobody is asked.
  await open();
  await expect(page.getByRole('row', { name: /General/ })).toContainText('Connected');
  await goTo(page, 'Settings');
  await expect(page.getByText('The operating system\'s keyring')).toBeVisible();
  await expect(page.getByText('Unlocked', { exact: true })).toBeVisible();
});
