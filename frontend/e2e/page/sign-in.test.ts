import { expect, test } from '../harness/fixtures';
import { expectAccessible } from '../harness/accessible';
import { PUBLIC_CLIENT_ID, type EHR } from '../harness/ehr';
import type { Desk } from '../harness/desk';
import { section } from './form';

const added = (desk: Desk, ehr: EHR) =>
  desk.chartkey(['registration', 'add', '--name', 'General', '--fhir-base-url', ehr.fhirBaseURL, '--client-id', PUBLIC_CLIENT_ID, '--no-test']);

test('a sign-in that is denied tells why and what to do', async ({ open, desk, ehr, systemBrowser }) => {
  await added(desk, ehr);
  const { page } = await open();
  await page.getByRole('button', { name: 'Connect to General' }).click();
  const end = await systemBrowser.signIn({ user: 'amara', deny: true });
  await expect(end.getByRole('heading')).not.toContainText('✓');
  const alert = section(page, 'Connection').getByRole('alert');
  await expect(alert).toContainText('Not connected');
  await expect(alert.getByRole('paragraph')).toHaveCount(3);
  await expect(alert).toContainText(/denied|not allowed|declined|refused/i);
  await expect(section(page, 'Connection').getByText('Not connected', { exact: true })).not.toHaveCount(0);
  await expectAccessible(page, 'A sign-in that was denied');
  // The reason outlives the page, and the way is open for another try.
  await page.reload();
  await page.getByRole('button', { name: 'General', exact: true }).click();
  await expect(section(page, 'Connection').getByText('The last attempt failed')).toBeVisible();
  await page.getByRole('button', { name: 'Connect to General' }).click();
  await systemBrowser.signIn({ user: 'amara' });
  await expect(section(page, 'Connection').getByText('Connected to General')).toBeVisible();
  await expect(section(page, 'Connection').getByText('The last attempt failed')).toBeHidden();
});

test('a sign-in can be opened again, outlives the page, and can be cancelled', async ({ open, desk, ehr, systemBrowser }) => {
  await added(desk, ehr);
  const { page } = await open();
  await page.getByRole('button', { name: 'Connect to General' }).click();
  const panel = page.getByRole('group', { name: 'Sign-in in progress' });
  await expect(panel.getByText('http://localhost:18320/callback')).toBeVisible();
  const address = await desk.opened();
  await panel.getByRole('button', { name: 'Open again' }).click();
  expect(await desk.opened(), 'the address that is opened again').toBe(address);
  await panel.getByRole('button', { name: 'Copy link' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Copied the sign-in link' })).toHaveCount(1);

  await page.reload();
  await expect(page.getByRole('row', { name: /General/ })).toContainText('Connecting');
  await page.getByRole('button', { name: 'Open General' }).click();
  await expect(panel).toBeVisible();
  await panel.getByRole('button', { name: 'Cancel' }).click();
  await expect(section(page, 'Connection').getByText('The sign-in was cancelled. Nothing has changed.')).toBeVisible();
  await expect(panel).toBeHidden();

  // Whoever signs in all the same finds nobody who waits.
  const late = await systemBrowser.open(address);
  await late.getByLabel('User name').fill('amara');
  await late.getByLabel('Password').fill('patient-pass1');
  await late.getByRole('button', { name: 'Sign in' }).click();
  await late.getByRole('button', { name: 'Allow' }).click();
  await expect.poll(() => late.url()).toMatch(/^chrome-error:|localhost:1832/);
  await expect(section(page, 'Connection').getByText('Connected to General')).toBeHidden();
  await expect(page.getByRole('button', { name: 'Connect to General' })).toBeVisible();
});

test('what was kept back at the sign-in is shown', async ({ open, desk, ehr, systemBrowser }) => {
  await added(desk, ehr);
  const { page } = await open();
  await page.getByRole('button', { name: 'Connect to General' }).click();
  await systemBrowser.signIn({ user: 'daniel', without: /Observation|offline_access/ });
  const connection = section(page, 'Connection');
  await expect(connection.getByText('Connected to General')).toBeVisible();
  await expect(connection.getByRole('region', { name: 'Scopes asked for' })).toContainText('patient/Observation');
  await expect(connection.getByRole('region', { name: 'Scopes granted' })).not.toContainText('patient/Observation');
  await expect(connection.getByText('Cannot be refreshed; a new sign-in is needed then')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Refresh', exact: true })).toBeHidden();
  await expectAccessible(page, 'A connection with less than was asked for');
});

test('the keyboard alone connects, and is never lost', async ({ open, desk, ehr, systemBrowser }) => {
  await added(desk, ehr);
  const { page } = await open();
  const focused = page.locator(':focus');
  const tabTo = async (name: string) => {
    for (let presses = 0; presses < 60; presses++) {
      await page.keyboard.press('Tab');
      const there = await focused.evaluate((element) => ({
        name: element.getAttribute('aria-label') ?? element.textContent?.trim() ?? '',
        ring: getComputedStyle(element).outlineStyle !== 'none' || getComputedStyle(element).boxShadow !== 'none' || getComputedStyle(element.parentElement ?? element).outlineStyle !== 'none',
        seen: element.checkVisibility({ opacityProperty: true, visibilityProperty: true }),
      }));
      expect(there, `the focus at ${there.name}`).toMatchObject({ ring: true, seen: true });
      if (there.name === name) return;
    }
    throw new Error(`Tab does not come to ${name}`);
  };

  await tabTo('Connect to General');
  await page.keyboard.press('Enter');
  const panel = page.getByRole('group', { name: 'Sign-in in progress' });
  await expect(panel).toBeVisible();
  await tabTo('Cancel');
  await page.keyboard.press('Enter');
  await expect(section(page, 'Connection').getByText('The sign-in was cancelled.')).toBeVisible();
  await desk.opened();
  // The control that was pressed is gone: the focus must be near, not at the top of the page.
  await expect(section(page, 'Connection').locator(':focus'), 'the focus after Cancel').toHaveCount(1);

  await tabTo('Connect to General');
  await page.keyboard.press('Space');
  await expect(panel).toBeVisible();
  await expect(section(page, 'Connection').locator(':focus'), 'the focus after Connect').toHaveCount(1);
  await systemBrowser.signIn({ user: 'peter' });
  await expect(section(page, 'Connection').getByText('Connected to General')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Disconnect', exact: true })).toBeVisible();

  await tabTo('Disconnect');
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('alertdialog');
  await expect(dialog.getByRole('button', { name: 'Stay connected' }), 'what changes nothing comes first').toBeFocused();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('button', { name: 'Disconnect', exact: true })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(dialog.getByRole('button', { name: 'Stay connected' })).toBeFocused();
  await page.keyboard.press('Tab');
  await expect(dialog.getByRole('button', { name: 'Disconnect now' })).toBeFocused();
  // The focus stays in the dialog.
  await page.keyboard.press('Tab');
  await expect(dialog.getByRole('button', { name: 'Stay connected' })).toBeFocused();
  await page.keyboard.press('Shift+Tab');
  await expect(dialog.getByRole('button', { name: 'Disconnect now' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(section(page, 'Connection').getByText('Disconnected; the EHR was told.')).toBeVisible();
  await expect(section(page, 'Connection').locator(':focus'), 'the focus after Disconnect').toHaveCount(1);
});
