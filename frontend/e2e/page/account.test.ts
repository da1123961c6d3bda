import { expectAccessible } from '../harness/accessible';
import { PUBLIC_CLIENT_ID } from '../harness/ehr';
import { expect, test } from '../harness/fixtures';
import { goTo, section } from './form';

test('another account than the last time is used only when a person says so', async ({ open, desk, ehr, systemBrowser }) => {
  await desk.chartkey(['registration', 'add', '--name', 'General', '--fhir-base-url', ehr.fhirBaseURL, '--client-id', PUBLIC_CLIENT_ID, '--no-test']);
  const { page } = await open();
  const connection = section(page, 'Connection');
  const question = connection.getByRole('group', { name: 'Another account signed in' });
  const passed = section(page, 'Test').getByText('Every check that ran has passed.');

  await page.getByRole('button', { name: 'Connect to General' }).click();
  await systemBrowser.signIn({ user: 'amara' });
  await expect(connection.getByText('Connected to General')).toBeVisible();
  await expect(passed).toBeVisible();

  const signInAs = async (user: string) => {
    await page.getByRole('button', { name: /(Reconnect|Connect) to General/ }).click();
    await systemBrowser.leave();
    const end = await systemBrowser.signIn({ user });
    await expect(end.getByRole('heading', { level: 1 })).toContainText('Is this the right account?');
    await expect(question).toBeVisible();
  };

  await test.step('it is asked, and thrown away', async () => {
    await signInAs('daniel');
    await expect(question).toHaveText(/the earlier connection stays.*Now.*Patient\/daniel-whitlock.*Last time.*Amara.*Nwosu.*Patient\/amara-nwosu/s);
    await expect(connection.getByRole('alert')).toHaveCount(0);
    await expectAccessible(page, 'The question about another account');
    // It waits, wherever one goes meanwhile.
    await goTo(page, 'Settings');
    await goTo(page, 'Connections');
    await page.getByRole('button', { name: 'Open General' }).click();
    await question.getByRole('button', { name: 'Throw it away' }).click();
    await expect(question).toBeHidden();
    await expect(connection.getByText('Patient/amara-nwosu').first()).toBeVisible();
    await expect(connection.getByText('Disconnected; the EHR was told.')).toBeVisible();
    await expect(connection.getByRole('heading', { name: 'Connection' }), 'the button is gone').toBeFocused();
  });

  await test.step('it is asked again, and used', async () => {
    await signInAs('daniel');
    await question.getByRole('button', { name: 'Use this account' }).click();
    await expect(question).toBeHidden();
    await expect(connection.getByText('Patient/daniel-whitlock').first()).toBeVisible();
    await expect(page.getByRole('status').filter({ hasText: 'Connected to General with this account' })).toHaveCount(1);
    expect((await desk.chartkey(['status']))[0]?.patient).toBe('daniel-whitlock');
  });

  await test.step('also where there is no connection any more', async () => {
    await page.getByRole('button', { name: 'Disconnect', exact: true }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Disconnect now' }).click();
    await expect(connection.getByText('Not connected', { exact: true })).toBeVisible();
    await signInAs('amara');
    await expect(question).toHaveText(/Now.*Patient\/amara-nwosu.*Last time.*Patient\/daniel-whitlock/s);
    await expect(question).not.toContainText('the earlier connection stays');
    // A lock hides whose it is; who comes back finds the question again.
    await page.keyboard.press('Control+l');
    expect(await page.evaluate(() => document.documentElement.outerHTML)).not.toMatch(/amara|daniel/i);
    await page.getByRole('button', { name: 'Unlock' }).click();
    await question.getByRole('button', { name: 'Use this account' }).click();
    await expect(connection.getByText('Patient/amara-nwosu').first()).toBeVisible();
  });
});
