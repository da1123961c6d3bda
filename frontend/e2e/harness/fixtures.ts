import { fileURLToPath } from 'node:url';
import { test as base, expect, type Page } from '@playwright/test';
import { Desk } from './desk';
import { Display } from './display';
import { EHR } from './ehr';
import { Record } from './record';
import { SystemBrowser } from './signin';
import { Window } from './window';

export { expect };

/** Made by e2e/build.mjs: the product as a build for development, which serves its page to a browser, and the page. */
const built = fileURLToPath(new URL('../../../.tools/e2e/', import.meta.url));

type Fixtures = {
  /** The chartkey binary. */
  binary: string;
  desk: Desk;
  ehr: EHR;
  systemBrowser: SystemBrowser;
  /** Opens the window of the desk, and its page in the test's browser. A second call does it after the first was closed. */
  open: (args?: string[]) => Promise<Opened>;
};

export type Opened = { page: Page; window: Window; record: Record; close: () => Promise<void> };

export const test = base.extend<Fixtures, { display: Display }>({
  display: [
    async ({}, use) => {
      const display = await Display.open();
      await use(display);
      await display.close();
    },
    { scope: 'worker' },
  ],

  binary: [`${built}chartkey`, { option: true }],

  desk: async ({ binary }, use) => {
    const desk = new Desk(binary);
    await use(desk);
    try {
      // Whatever a test was about, nothing that it came to know may be in what the product keeps.
      expect(desk.secrets.inFiles(desk.kept), 'secrets in files').toEqual([]);
    } finally {
      await desk.close();
    }
  },

  ehr: async ({ desk }, use) => {
    const ehr = await EHR.start(desk);
    await use(ehr);
    await ehr.close();
  },

  systemBrowser: async ({ browser, desk }, use) => {
    const system = new SystemBrowser(browser, desk);
    await use(system);
    await system.close();
  },

  open: async ({ desk, display, page }, use) => {
    let opened: Opened | undefined;
    const record = await Record.of(page);
    await use(async (args = []) => {
      const window = await Window.open(desk, display.name, { page: `${built}page`, args });
      const close = async () => {
        opened = undefined;
        await page.goto('about:blank');
        try {
          await window.close();
        } finally {
          record.check(desk);
        }
      };
      opened = { page, window, record, close };
      record.origins.push(window.url);
      await page.goto(window.url);
      await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
      return opened;
    });
    await opened?.close();
  },
});
