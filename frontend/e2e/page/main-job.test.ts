import { expect, test } from '../harness/fixtures';
import { expectAccessible } from '../harness/accessible';

test('the main job, with the built-in sandbox', async ({ open, systemBrowser }) => {
  const { page } = await open();

  await test.step('nothing is registered yet', async () => {
    await expect(page).toHaveTitle('Connections – Chartkey');
    await expect(page.getByRole('heading', { name: 'No EHR is registered yet' })).toBeVisible();
    await expect(page.getByRole('button', { name: 'Register an EHR' })).toBeVisible();
    await expectAccessible(page, 'Connections, empty');
  });

  const connection = page.getByRole('region', { name: 'Connection', exact: true });
  const tests = page.getByRole('region', { name: 'Test', exact: true });
  const explore = page.getByRole('region', { name: 'Explore' });

  await test.step('the sandbox registers itself and is tested', async () => {
    await page.getByRole('button', { name: 'Try it with the built-in sandbox' }).click();
    await expect(page.getByRole('heading', { name: 'Sandbox', level: 1 })).toBeVisible();
    await expect(page.getByLabel('FHIR base URL', { exact: true })).toHaveValue('http://localhost:18340/fhir');
    await expect(tests.getByText('Every check that ran has passed.')).toBeVisible();
    await expect(tests.getByRole('region', { name: 'Configuration checks' }).getByRole('listitem')).not.toHaveCount(0);
    await expect(connection.getByText('Not connected')).toBeVisible();
    await expectAccessible(page, 'A registration, not connected');
  });

  await test.step('a parent signs in for a child', async () => {
    await page.getByRole('button', { name: 'Connect to Sandbox' }).click();
    await expect(page.getByRole('group', { name: 'Sign-in in progress' })).toBeVisible();
    await expect(page.getByRole('timer', { name: 'Time left' })).toHaveText(/^[45]:\d\d$/);
    await expectAccessible(page, 'A sign-in that waits');
    const end = await systemBrowser.signIn({ user: 'sofia', patient: 'Luca Marchetti' });
    await expect(end.getByRole('heading')).toContainText('Connected');
    await expect(connection.getByText('Connected to Sandbox')).toBeVisible();
    await expect(connection.getByText('Patient/luca-marchetti')).toBeVisible();
    await expect(connection.getByText('RelatedPerson/sofia-for-luca', { exact: true })).toBeVisible();
    await expect(connection.getByRole('region', { name: 'Scopes granted' }).getByRole('listitem')).not.toHaveCount(0);
  });

  await test.step('the live test follows by itself, and again on demand', async () => {
    const live = tests.getByRole('region', { name: 'Live connection checks' });
    await expect(tests.getByText('Every check that ran has passed.')).toBeVisible();
    await expect(live.getByRole('listitem')).not.toHaveCount(0);
    await page.getByRole('button', { name: 'Test all' }).click();
    await expect(tests.getByText('Every check that ran has passed.')).toBeVisible();
    await expect(live.getByRole('listitem').filter({ hasText: 'Passed' })).not.toHaveCount(0);
    await expect(live.getByRole('listitem').filter({ hasText: /Failed|Skipped/ })).toHaveCount(0);
  });

  await test.step('a resource can be read', async () => {
    await expect(page.getByLabel('FHIR path')).toHaveValue('Patient/luca-marchetti');
    await page.getByRole('button', { name: 'Read', exact: true }).click();
    await expect(explore.getByRole('region', { name: 'JSON' })).toContainText('"resourceType": "Patient"');
    await expect(explore.getByRole('heading', { name: /Luca Marchetti/ })).toBeVisible();
    await page.getByLabel('FHIR path').fill('Observation?patient=luca-marchetti');
    await page.getByRole('button', { name: 'Read', exact: true }).click();
    await expect(explore.getByRole('region', { name: 'JSON' })).toContainText('"resourceType": "Bundle"');
    await page.getByLabel('FHIR path').fill('Patient/amara-nwosu');
    await page.getByRole('button', { name: 'Read', exact: true }).click();
    await expect(explore.getByRole('region', { name: 'JSON' })).toBeHidden();
    await page.getByLabel('FHIR path').fill('Patient/luca-marchetti');
    await page.getByRole('button', { name: 'Read', exact: true }).click();
    await expect(explore.getByRole('region', { name: 'JSON' })).toBeVisible();
    await expectAccessible(page, 'A registration, connected, tested and read from');
  });

  await test.step('access is renewed without a sign-in', async () => {
    await expect(connection.getByText('Refreshed', { exact: true })).toBeHidden();
    await page.getByRole('button', { name: 'Refresh', exact: true }).click();
    await expect(connection.getByText('Refreshed', { exact: true })).toBeVisible();
  });

  await test.step('the row tells whose connection it is', async () => {
    await page.getByRole('navigation', { name: 'Places' }).getByRole('button', { name: 'Connections' }).click();
    const row = page.getByRole('row', { name: /Sandbox/ });
    await expect(row).toContainText('Connected');
    await expect(row).toContainText('RelatedPerson/sofia-for-luca');
    await expect(row).toContainText('Passed');
    await expectAccessible(page, 'Connections, connected');
    await row.getByRole('button', { name: 'Open Sandbox' }).click();
  });

  await test.step('the sandbox shows what it was asked', async () => {
    await page.getByRole('navigation', { name: 'Places' }).getByRole('button', { name: 'Sandbox' }).click();
    await expect(page.getByRole('region', { name: 'Request log' })).toContainText('tokens issued from the code');
    await expectAccessible(page, 'Sandbox, running');
    await page.getByRole('navigation', { name: 'Places' }).getByRole('button', { name: 'Settings' }).click();
    await expect(page.getByText('A passphrase', { exact: true })).toBeVisible();
    await expect(page.getByText('Version')).toBeVisible();
    await expectAccessible(page, 'Settings');
    await page.getByRole('navigation', { name: 'Places' }).getByRole('button', { name: 'Connections' }).click();
    await page.getByRole('button', { name: 'Open Sandbox' }).click();
  });

  await test.step('disconnect asks, and then tells the EHR', async () => {
    await page.getByRole('button', { name: 'Disconnect', exact: true }).click();
    const dialog = page.getByRole('alertdialog', { name: 'Disconnect from Sandbox?' });
    await expect(dialog).toBeVisible();
    await expectAccessible(page, 'The disconnect dialog');
    await dialog.getByRole('button', { name: 'Stay connected' }).click();
    await expect(dialog).toBeHidden();
    await expect(connection.getByText('Connected', { exact: true }).first()).toBeVisible();
    await page.getByRole('button', { name: 'Disconnect', exact: true }).click();
    await dialog.getByRole('button', { name: 'Disconnect now' }).click();
    await expect(connection.getByText('Disconnected; the EHR was told.')).toBeVisible();
    await expect(connection.getByText('Not connected', { exact: true })).toBeVisible();
    await expect(page.getByRole('button', { name: 'Connect to Sandbox' })).toBeVisible();
  });
});
