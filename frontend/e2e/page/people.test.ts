import { expectAccessible } from '../harness/accessible';
import { PUBLIC_CLIENT_ID } from '../harness/ehr';
import { expect, test } from '../harness/fixtures';
import { goTo, section } from './form';
import { addClinician, lockedHeading, OKAFOR_PASSCODE, OWNER_PASSCODE, profileButton, switchTo, unlock } from './people';

test('the dialog that adds a person asks for what is needed', async ({ open, desk }) => {
  const { page } = await open();
  await goTo(page, 'People');
  const table = page.getByRole('table', { name: 'People' });
  await expect(table.getByRole('row', { name: /owner/ })).toHaveText(/owner.*\(you\).*Admin.*None needed yet.*Nothing/s);
  await expectAccessible(page, 'People, alone');
  const add = page.getByRole('button', { name: 'Add a person' });
  await add.click();
  const dialog = page.getByRole('dialog', { name: 'Add a person' });
  await expect(dialog.getByLabel('Name')).toBeFocused();
  await expectAccessible(page, 'The dialog that adds a person');
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  await expect(add).toBeFocused();

  await add.click();
  await dialog.getByLabel('Name').fill('dr.okafor');
  await dialog.getByLabel('Your own passcode', { exact: true }).fill(OWNER_PASSCODE);
  await dialog.getByLabel('Repeat your own passcode').fill('not the same');
  await dialog.getByRole('button', { name: 'Add person' }).click();
  await expect(dialog.getByLabel('Repeat your own passcode')).toHaveAccessibleDescription(/The two passcodes differ/);
  await expect(dialog.getByLabel('Repeat your own passcode')).toBeFocused();
  // Go refuses what is too short, and says so in the dialog; a name can be taken, too.
  await dialog.getByLabel('Passcode', { exact: true }).fill('short');
  await dialog.getByLabel('Repeat the passcode').fill('short');
  await dialog.getByLabel('Repeat your own passcode').fill(OWNER_PASSCODE);
  await dialog.getByRole('button', { name: 'Add person' }).click();
  await expect(dialog.getByRole('alert')).toContainText('The passcode is shorter than 6 characters.');
  await expectAccessible(page, 'The dialog that adds a person, refused');
  await dialog.getByLabel('Passcode', { exact: true }).fill('');
  await dialog.getByLabel('Repeat the passcode').fill('');
  await dialog.getByRole('button', { name: 'Add person' }).click();
  await expect(dialog).toBeHidden();
  await expect(table.getByRole('row', { name: /dr\.okafor/ })).toHaveText(/Clinician.*Chosen at the next sign-in/s);
  await expect(table.getByRole('row', { name: /owner/ })).toContainText('Set');
  await expect(page.getByRole('status').filter({ hasText: 'Added dr.okafor' })).toHaveCount(1);

  await add.click();
  await expect(dialog.getByLabel('Your own passcode', { exact: true }), 'there is one now').toHaveCount(0);
  await expect(dialog.getByLabel('Name')).toHaveValue('');
  await dialog.getByLabel('Name').fill('DR.OKAFOR');
  await dialog.getByRole('button', { name: 'Add person' }).click();
  await expect(dialog.getByRole('alert')).toContainText('There is a user named');
  expect(await desk.chartkey(['user', 'list'])).toHaveLength(2);
});

test('a clinician is offered what the role may use, and Go refuses the rest', async ({ open, desk, ehr }) => {
  await desk.chartkey(['registration', 'add', '--name', 'General', '--fhir-base-url', ehr.fhirBaseURL, '--client-id', PUBLIC_CLIENT_ID, '--no-test']);
  const { page } = await open();
  await addClinician(page, desk);
  await switchTo(page, 'owner', 'dr.okafor', OKAFOR_PASSCODE);
  const rail = page.getByRole('navigation', { name: 'Places' });
  await expect(rail.getByRole('list').getByRole('button')).toHaveText(['Connections', 'Launches', 'Sandbox', 'Settings']);
  await expect(page.getByRole('button', { name: 'Register an EHR' })).toHaveCount(0);
  await expectAccessible(page, 'Connections of a clinician');

  await page.getByRole('button', { name: 'General', exact: true }).click();
  const registration = section(page, 'Registration');
  await expect(registration).toContainText(ehr.fhirBaseURL);
  await expect(registration).toContainText('An admin of this workstation can change it.');
  await expect(registration.getByRole('textbox')).toHaveCount(0);
  await expect(registration.getByRole('button', { name: /Save|Remove/ })).toHaveCount(0);
  await expect(registration.getByRole('complementary', { name: 'What to enter at the EHR' })).toContainText('18320');
  await expectAccessible(page, 'A registration that a clinician sees');
  await section(page, 'Test').getByRole('button', { name: 'Test configuration' }).click();
  await expect(section(page, 'Test').getByText('Every check that ran has passed.')).toBeVisible();

  await goTo(page, 'Sandbox');
  await page.getByRole('button', { name: 'Start the sandbox' }).click();
  await expect(page.getByRole('button', { name: 'Stop the sandbox' })).toBeVisible();
  await expect(page.getByRole('button', { name: 'Register the sandbox' })).toHaveCount(0);

  const refused = await page.evaluate(async () => {
    type Method = (...args: unknown[]) => Promise<unknown>;
    const app = (globalThis as unknown as { go: { main: { App: Record<string, Method> } } }).go.main.App;
    const code = (call: Promise<unknown>) => call.then(() => 'done', (reason: unknown) => (JSON.parse(String((reason as Error).message ?? reason)) as { code: string }).code);
    return {
      save: await code(app.SaveRegistration!('', {})),
      add: await code(app.AddProfile!('x', 'admin', '', '')),
      policy: await code(app.SetPolicy!({ idle_minutes: 30, audit_days: 30 })),
      activity: await code(app.ActivityPage!()),
    };
  });
  expect(refused).toEqual({ save: 'role-needed', add: 'role-needed', policy: 'role-needed', activity: 'role-needed' });
});

test('one’s own passcode is changed under one’s name', async ({ open, desk }) => {
  const { page } = await open();
  await profileButton(page, 'owner').click();
  await page.getByRole('button', { name: 'Set a passcode' }).click();
  const set = page.getByRole('dialog', { name: 'Set a passcode' });
  await expect(set.getByLabel('New passcode', { exact: true })).toBeFocused();
  await set.getByLabel('New passcode', { exact: true }).fill(OKAFOR_PASSCODE);
  await set.getByLabel('Repeat the new passcode').fill(OKAFOR_PASSCODE);
  await set.getByRole('button', { name: 'Save passcode' }).click();
  await expect(set).toBeHidden();
  await expect(profileButton(page, 'owner')).toBeFocused();

  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Change my passcode' }).click();
  const change = page.getByRole('dialog', { name: 'Change my passcode' });
  await expect(change.getByLabel('Present passcode')).toBeFocused();
  await expectAccessible(page, 'The dialog that changes a passcode');
  await change.getByLabel('Present passcode').fill('not the passcode');
  await change.getByLabel('New passcode', { exact: true }).fill(OWNER_PASSCODE);
  await change.getByLabel('Repeat the new passcode').fill(OWNER_PASSCODE);
  await change.getByRole('button', { name: 'Save passcode' }).click();
  await expect(change.getByLabel('Present passcode')).toHaveAccessibleDescription(/does not open this profile/);
  await change.getByLabel('Present passcode').fill(OKAFOR_PASSCODE);
  await change.getByRole('button', { name: 'Save passcode' }).click();
  await expect(change).toBeHidden();
  await page.keyboard.press('Control+l');
  await unlock(page, OWNER_PASSCODE);
  expect((await desk.chartkey(['user', 'list']))[0]?.passcode).toBe('set');
});

test('a reset and a removal say what is lost, and offer to end it properly first', async ({ open, desk, ehr, systemBrowser }) => {
  await desk.chartkey(['registration', 'add', '--name', 'General', '--fhir-base-url', ehr.fhirBaseURL, '--client-id', PUBLIC_CLIENT_ID, '--no-test']);
  const { page } = await open();
  await addClinician(page, desk);
  const connect = async () => {
    await page.getByRole('button', { name: 'Connect to General' }).click();
    await systemBrowser.signIn({ user: 'amara' });
    await expect(section(page, 'Connection').getByText('Connected to General')).toBeVisible();
    await expect(section(page, 'Test').getByText('Every check that ran has passed.')).toBeVisible();
  };
  await switchTo(page, 'owner', 'dr.okafor', OKAFOR_PASSCODE);
  await connect();
  await switchTo(page, 'dr.okafor', 'owner', OWNER_PASSCODE);
  await goTo(page, 'People');
  const row = page.getByRole('row', { name: /dr\.okafor/ });
  await expect(row).toContainText('General');
  await expect(page.getByRole('table'), 'not as whom').not.toContainText(/amara/i);
  await expectAccessible(page, 'People, two');

  await test.step('reset, after the connections were ended with the person’s own passcode', async () => {
    await row.getByRole('button', { name: 'Reset the passcode of dr.okafor' }).click();
    const dialog = page.getByRole('dialog', { name: 'Reset the passcode of dr.okafor?' });
    await expect(dialog).toContainText('1 connection is lost: General.');
    await expectAccessible(page, 'The dialog that resets a passcode');
    await dialog.getByLabel('Passcode of dr.okafor').fill('not the passcode');
    await dialog.getByRole('button', { name: 'End the connection' }).click();
    await expect(dialog.getByLabel('Passcode of dr.okafor')).toHaveAttribute('aria-invalid', 'true');
    await dialog.getByLabel('Passcode of dr.okafor').fill(OKAFOR_PASSCODE);
    await dialog.getByRole('button', { name: 'End the connection' }).click();
    await expect(dialog.getByRole('listitem')).toContainText('General:');
    await expect(dialog).toContainText('No connection is lost.');
    await expect(dialog.getByRole('button', { name: 'Reset passcode' }), 'the focus is not lost').toBeFocused();
    expect(ehr.requests).toContain('POST /auth/revoke');
    await dialog.getByRole('button', { name: 'Reset passcode' }).click();
    await expect(dialog).toBeHidden();
    await expect(row).toContainText('Chosen at the next sign-in');
    await expect(page.getByRole('heading', { name: 'People', level: 1 }), 'the button is gone').toBeFocused();
  });

  await test.step('the person chooses a new passcode, and connects again', async () => {
    await profileButton(page, 'owner').click();
    await page.getByRole('dialog', { name: 'Who takes over' }).getByRole('button', { name: 'dr.okafor' }).click();
    await page.getByLabel('Choose a passcode').fill(OKAFOR_PASSCODE);
    await page.getByLabel('Repeat the passcode').fill(OKAFOR_PASSCODE);
    await page.keyboard.press('Enter');
    await expect(lockedHeading(page)).toBeHidden();
    await connect();
    await switchTo(page, 'dr.okafor', 'owner', OWNER_PASSCODE);
  });

  await test.step('remove', async () => {
    await goTo(page, 'People');
    await row.getByRole('button', { name: 'Remove dr.okafor' }).click();
    const dialog = page.getByRole('dialog', { name: 'Remove dr.okafor?' });
    await expect(dialog).toContainText('1 connection is lost: General.');
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await expect(dialog).toBeHidden();
    await row.getByRole('button', { name: 'Remove dr.okafor' }).click();
    await dialog.getByRole('button', { name: 'Remove now' }).click();
    await expect(row).toHaveCount(0);
    await expect(page.getByRole('heading', { name: 'People', level: 1 })).toBeFocused();
    await expect(page.getByRole('status').filter({ hasText: 'Removed dr.okafor' })).toHaveCount(1);
    expect(await desk.chartkey(['user', 'list'])).toHaveLength(1);
  });
});
