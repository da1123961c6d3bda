import { expectAccessible } from '../harness/accessible';
import { PASSPHRASE } from '../harness/desk';
import { PUBLIC_CLIENT_ID } from '../harness/ehr';
import { expect, test } from '../harness/fixtures';
import { inMemory } from '../harness/heap';
import { goTo, section } from './form';
import { addClinician, keepPasscodesSecret, lockedHeading, OKAFOR_PASSCODE, OWNER_PASSCODE, profileButton, switchTo, unlock } from './people';

test('without a passcode, one press locks and one unlocks', async ({ open }) => {
  const { page } = await open();
  await goTo(page, 'Settings');
  await page.keyboard.press('Control+l');
  await expect(lockedHeading(page)).toBeVisible();
  await expect(page).toHaveTitle('Locked – Chartkey');
  await expect(page.getByRole('main').getByText('Locked by hand.')).toBeVisible();
  await expect(page.getByRole('status').filter({ hasText: 'Chartkey is locked. Locked by hand.' })).toHaveCount(1);
  await expect(page.getByRole('navigation'), 'the places').toHaveCount(0);
  await expect(page.getByRole('textbox')).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Unlock' })).toBeFocused();
  await expectAccessible(page, 'Locked, without a passcode');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Settings', level: 1 }), 'the same place').toBeFocused();

  // The button at the rail's foot does the same, and so does the menu under the name.
  await page.getByRole('button', { name: 'Lock', exact: true }).click();
  await page.getByRole('button', { name: 'Unlock' }).click();
  await profileButton(page, 'owner').click();
  const menu = page.getByRole('dialog', { name: 'owner' });
  await expectAccessible(page, 'The menu under the name');
  await page.keyboard.press('Escape');
  await expect(menu).toBeHidden();
  await expect(profileButton(page, 'owner')).toBeFocused();
  await page.keyboard.press('Enter');
  await menu.getByRole('button', { name: /^Lock/ }).click();
  await expect(lockedHeading(page)).toBeVisible();
});

test('a clinician is added, connects and locks; the patient leaves the page, and comes back to the same place', async ({ open, desk, ehr, systemBrowser }) => {
  await desk.chartkey(['registration', 'add', '--name', 'General', '--fhir-base-url', ehr.fhirBaseURL, '--client-id', PUBLIC_CLIENT_ID, '--no-test']);
  const { page } = await open();
  await addClinician(page, desk);
  await switchTo(page, 'owner', 'dr.okafor', OKAFOR_PASSCODE);
  await expect(page.getByRole('heading', { name: 'Connections', level: 1 }), 'another profile starts here').toBeFocused();
  await page.getByRole('button', { name: 'Connect to General' }).click();
  await systemBrowser.signIn({ user: 'sofia', patient: 'Luca Marchetti' });
  await expect(section(page, 'Connection').getByText('Connected to General')).toBeVisible();
  await expect(section(page, 'Test').getByText('Every check that ran has passed.')).toBeVisible();
  await page.getByRole('button', { name: 'Read', exact: true }).click();
  await expect(section(page, 'Explore').getByRole('region', { name: 'JSON' })).toContainText('resourceType');
  expect(await page.content()).toMatch(/marchetti/i);
  expect(await inMemory(page, 'Marchetti'), 'the patient in memory, unlocked').toBe(true);

  await test.step('locked, nothing of the patient is left', async () => {
    await page.keyboard.press('Control+l');
    await expect(page.getByLabel('Passcode')).toBeFocused();
    const connections = page.getByRole('list', { name: 'Connections of dr.okafor' });
    await expect(connections.getByRole('listitem')).toHaveText(/General.*Connected/s);
    const left = await page.evaluate(() => document.documentElement.outerHTML + JSON.stringify({ ...localStorage }) + JSON.stringify({ ...sessionStorage }));
    expect(left).not.toMatch(/marchetti|sofia/i);
    for (const form of ['Marchetti', 'marchetti', 'sofia-for']) expect(await inMemory(page, form), `${form} in memory, locked`).toBe(false);
    await expectAccessible(page, 'Locked');
  });

  await test.step('a wrong passcode is told at the field', async () => {
    const passcode = page.getByLabel('Passcode');
    await passcode.fill('another passcode');
    await page.keyboard.press('Enter');
    await expect(passcode).toHaveAccessibleDescription(/The passcode does not open this profile/);
    await expect(passcode).toHaveAttribute('aria-invalid', 'true');
    await expect(passcode).toBeFocused();
    expect(await passcode.evaluate((field: HTMLInputElement) => field.selectionEnd! - field.selectionStart!), 'what is selected').toBe('another passcode'.length);
    await expectAccessible(page, 'Locked, after a wrong passcode');
  });

  await test.step('another one unlocks at once, and finds none of it', async () => {
    await unlock(page, OWNER_PASSCODE, 'owner');
    await expect(page.getByRole('heading', { name: 'Connections', level: 1 })).toBeFocused();
    await expect(page.getByRole('row', { name: /General/ })).toContainText('Not connected');
    expect(await inMemory(page, 'Marchetti')).toBe(false);
  });

  await test.step('who comes back is at the same place', async () => {
    await switchTo(page, 'owner', 'dr.okafor', OKAFOR_PASSCODE);
    await page.getByRole('button', { name: 'Open General' }).click();
    await expect(section(page, 'Connection').getByText('Patient/luca-marchetti')).toBeVisible();
    await page.keyboard.press('Control+l');
    await unlock(page, OKAFOR_PASSCODE);
    await expect(page.getByRole('heading', { name: 'General', level: 1 })).toBeFocused();
    await expect(section(page, 'Connection').getByText('Patient/luca-marchetti')).toBeVisible();
  });

  await test.step('what was on its way at the lock does not arrive', async () => {
    const release = ehr.hold('/fhir/Patient/luca-marchetti');
    await page.getByRole('button', { name: 'Read', exact: true }).click();
    await expect.poll(() => ehr.requests.at(-1)).toContain('/fhir/Patient/luca-marchetti');
    await page.keyboard.press('Control+l');
    await expect(lockedHeading(page)).toBeVisible();
    release();
    await expect(page.getByRole('list', { name: 'Connections of dr.okafor' })).toBeVisible();
    expect(await inMemory(page, 'Marchetti')).toBe(false);
    await unlock(page, OKAFOR_PASSCODE);
    await expect(section(page, 'Explore').getByRole('region', { name: 'JSON' })).toBeHidden();
  });
});

test('a dialog that is open goes with the lock', async ({ open }) => {
  const { page } = await open();
  await goTo(page, 'People');
  await page.getByRole('button', { name: 'Add a person' }).click();
  await page.getByRole('dialog').getByLabel('Name').fill('half-typed');
  await page.keyboard.press('Control+l');
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Unlock' })).toBeFocused();
  await page.mouse.click(10, 10);
  await page.getByRole('button', { name: 'Unlock' }).click();
  await expect(page.getByRole('heading', { name: 'People', level: 1 })).toBeFocused();
  await expect(page.getByRole('dialog')).toHaveCount(0);
});

test('it starts locked, and a first passcode is chosen there', async ({ open, desk, page }) => {
  keepPasscodesSecret(desk);
  await desk.chartkey(['user', 'add', 'dr.okafor']);
  const first = await open();
  await expect(lockedHeading(page)).toBeVisible();
  await expect(page.getByRole('main').getByText('this profile needs a passcode first')).toBeVisible();
  const choose = page.getByLabel('Choose a passcode');
  const again = page.getByLabel('Repeat the passcode');
  await expect(choose).toBeFocused();
  await expectAccessible(page, 'Locked, with a passcode to choose');
  await choose.fill(OWNER_PASSCODE);
  await again.fill('something else');
  await page.keyboard.press('Enter');
  await expect(again).toHaveAccessibleDescription(/The two passcodes differ/);
  await expect(again).toBeFocused();
  await choose.fill('short');
  await again.fill('short');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('alert')).toContainText('The passcode is shorter than 6 characters.');
  await choose.fill(OWNER_PASSCODE);
  await again.fill(OWNER_PASSCODE);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Connections', level: 1 })).toBeFocused();

  // The other one has none yet either, and the menu leads to where it is chosen.
  await profileButton(page, 'owner').click();
  await page.getByRole('dialog', { name: 'Who takes over' }).getByRole('button', { name: 'dr.okafor' }).click();
  await choose.fill(OKAFOR_PASSCODE);
  await again.fill(OKAFOR_PASSCODE);
  await page.keyboard.press('Enter');
  await expect(profileButton(page, 'dr.okafor')).toBeVisible();
  await first.close();

  await open();
  await expect(page.getByRole('main').getByText('Nothing is shown until you are recognised.')).toBeVisible();
  await unlock(page, OWNER_PASSCODE);
  await expect(page.getByRole('heading', { name: 'Connections', level: 1 })).toBeFocused();
});

test('after many wrong passcodes it says until when it waits', async ({ open, desk }) => {
  const { page } = await open();
  await addClinician(page, desk);
  await page.keyboard.press('Control+l');
  await expect(lockedHeading(page)).toBeVisible();
  const refused = await page.evaluate(async () => {
    const { Unlock } = (globalThis as unknown as { go: { main: { App: { Unlock: (...args: string[]) => Promise<void> } } } }).go.main.App;
    let wrong = 0;
    for (let i = 0; i < 9; i++) await Unlock('', '', `wrong ${i}`, '').catch(() => (wrong += 1));
    return wrong;
  });
  expect(refused).toBe(9);
  await page.getByLabel('Passcode').fill('wrong again');
  await page.keyboard.press('Enter');
  const told = page.getByRole('alert');
  await expect(told).toContainText(/The next one is taken at \d\d:\d\d:\d\d/);
  await expect(told).toContainText(/In 0:[0-3]\d/);
  await expectAccessible(page, 'Locked, and waiting after wrong passcodes');
  // Nobody else waits for it.
  await page.getByRole('list', { name: 'Somebody else' }).getByRole('button', { name: 'dr.okafor' }).click();
  await expect(told).toBeHidden();
  await page.getByRole('list', { name: 'Somebody else' }).getByRole('button', { name: 'owner' }).click();
  await expect(told).toBeVisible();
  await expect(told).toBeHidden({ timeout: 40_000 });
  await page.getByLabel('Passcode').fill(OWNER_PASSCODE);
  await page.keyboard.press('Enter');
  await expect(lockedHeading(page)).toBeHidden();
});

test('the vault’s passphrase is asked for beside the passcode, where no file gives it', async ({ open, desk }) => {
  const first = await open();
  await addClinician(first.page, desk);
  await first.close();
  desk.forgetPassphrase();
  const { page } = await open();
  const passphrase = page.getByLabel('Passphrase of the vault');
  await expect(passphrase).toBeFocused();
  await expectAccessible(page, 'Locked, with a passphrase');
  await passphrase.fill('not the passphrase');
  await page.getByLabel('Passcode').fill(OWNER_PASSCODE);
  await page.keyboard.press('Enter');
  await expect(passphrase).toHaveAttribute('aria-invalid', 'true');
  await expect(passphrase).toBeFocused();
  await passphrase.fill(PASSPHRASE);
  await page.getByRole('button', { name: 'Unlock' }).click();
  await expect(page.getByRole('heading', { name: 'Connections', level: 1 })).toBeFocused();
});

test('chartkey vault lock locks this window too', async ({ open, desk }) => {
  const { page } = await open();
  await addClinician(page, desk);
  await desk.chartkey(['vault', 'lock']);
  await expect(page.getByRole('main').getByText('Locked for every window and terminal')).toBeVisible();
  await expect(page.getByRole('heading', { name: 'owner', level: 2 })).toBeVisible();
  await unlock(page, OWNER_PASSCODE);
  await expect(page.getByRole('heading', { name: 'People', level: 1 })).toBeFocused();
});

test('it tells Go that a person is there, and not too often', async ({ open }) => {
  const { page } = await open();
  await page.evaluate(() => {
    const app = (globalThis as unknown as { go: { main: { App: { Touch: () => Promise<void> } } }; touches: number }).go.main.App;
    const touch = app.Touch;
    (globalThis as unknown as { touches: number }).touches = 0;
    app.Touch = () => {
      (globalThis as unknown as { touches: number }).touches += 1;
      return touch();
    };
  });
  const touches = () => page.evaluate(() => (globalThis as unknown as { touches: number }).touches);
  const start = Date.now();
  for (let i = 0; i < 10; i++) {
    await page.mouse.move(300 + i, 300);
    await page.keyboard.press('Shift');
  }
  expect(await touches()).toBeLessThanOrEqual(1 + (Date.now() - start) / 10_000);
  await expect
    .poll(async () => {
      await page.mouse.wheel(0, 10);
      return touches();
    })
    .toBeGreaterThanOrEqual(1);
});
