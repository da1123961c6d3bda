import { expect, type Page } from '@playwright/test';
import type { Desk } from '../harness/desk';
import { goTo } from './form';

/** Passcodes, made up so that they can stand nowhere by chance. */
export const OWNER_PASSCODE = 'canary passcode of the owner 41';
export const OKAFOR_PASSCODE = 'canary passcode of dr.okafor 52';

/** Has the tests know the passcodes as secrets. */
export function keepPasscodesSecret(desk: Desk): void {
  desk.secrets.add('passcode of the owner', OWNER_PASSCODE);
  desk.secrets.add('passcode of dr.okafor', OKAFOR_PASSCODE);
}

/** Adds dr.okafor, a clinician, as an owner does who had no passcode so far. */
export async function addClinician(page: Page, desk: Desk): Promise<void> {
  keepPasscodesSecret(desk);
  await goTo(page, 'People');
  await page.getByRole('button', { name: 'Add a person' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a person' });
  await dialog.getByLabel('Name').fill('dr.okafor');
  await dialog.getByLabel('Passcode', { exact: true }).fill(OKAFOR_PASSCODE);
  await dialog.getByLabel('Repeat the passcode').fill(OKAFOR_PASSCODE);
  await dialog.getByLabel('Your own passcode', { exact: true }).fill(OWNER_PASSCODE);
  await dialog.getByLabel('Repeat your own passcode').fill(OWNER_PASSCODE);
  await dialog.getByRole('button', { name: 'Add person' }).click();
  await expect(dialog).toBeHidden();
}

export const profileButton = (page: Page, name: string) => page.getByRole('navigation', { name: 'Places' }).getByRole('button', { name: new RegExp(`^${name}`) });
export const lockedHeading = (page: Page) => page.getByRole('heading', { name: 'Chartkey is locked', level: 1 });

/** Unlocks with a passcode; of another profile, where one is named. */
export async function unlock(page: Page, passcode: string, profile?: string): Promise<void> {
  if (profile) await page.getByRole('list', { name: 'Somebody else' }).getByRole('button', { name: profile }).click();
  await expect(page.getByLabel('Passcode')).toBeFocused();
  await page.getByLabel('Passcode').fill(passcode);
  await page.keyboard.press('Enter');
  await expect(lockedHeading(page)).toBeHidden();
}

/** Takes the workstation over by the menu at the foot of the rail. */
export async function switchTo(page: Page, from: string, to: string, passcode: string): Promise<void> {
  await profileButton(page, from).click();
  await page.getByRole('dialog', { name: 'Who takes over' }).getByRole('button', { name: to }).click();
  await expect(page.getByRole('heading', { name: to, level: 2 })).toBeVisible();
  await unlock(page, passcode);
}
