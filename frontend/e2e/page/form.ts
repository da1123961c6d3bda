import { expect, type Page } from '@playwright/test';

export type Entry = { name: string; fhirBaseURL: string; clientID: string; clientSecret?: string };

/** Fills in the form of a new registration, at an EHR that is not Epic. */
export async function register(page: Page, entry: Entry): Promise<void> {
  await page.getByRole('button', { name: 'Register an EHR' }).first().click();
  await expect(page.getByRole('heading', { name: 'Register an EHR', level: 1 })).toBeVisible();
  await page.getByRole('radio', { name: 'Other' }).check();
  await page.getByLabel('Name', { exact: true }).fill(entry.name);
  await page.getByLabel('FHIR base URL', { exact: true }).fill(entry.fhirBaseURL);
  await page.getByLabel('Client ID', { exact: true }).fill(entry.clientID);
  if (entry.clientSecret) {
    await page.getByRole('radio', { name: 'Confidential' }).check();
    await page.getByLabel('Client secret', { exact: true }).fill(entry.clientSecret);
  }
}

/** A region of a registration's page, by its heading. */
export const section = (page: Page, name: 'Registration' | 'Connection' | 'Test' | 'Explore' | 'Lock and record' | 'Is it whole?') => page.getByRole('region', { name, exact: true });

export async function goTo(page: Page, place: 'Connections' | 'Launches' | 'Sandbox' | 'Activity' | 'People' | 'Settings'): Promise<void> {
  await page.getByRole('navigation', { name: 'Places' }).getByRole('button', { name: place }).click();
}
