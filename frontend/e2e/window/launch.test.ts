import { fileURLToPath } from 'node:url';
import { expect, test } from '../harness/fixtures';
import { Window } from '../harness/window';
import { answerPages } from '../page/ehr-pages';
import { Tree } from './tree';

test.use({ binary: fileURLToPath(new URL('../../../build/bin/chartkey', import.meta.url)) });

const button = (name: string) => ({ role: 'push button', name });
const region = (name: string) => ({ role: 'landmark', name });

test('a launch from the EHR, accepted by the real window from end to end', async ({ desk, display, systemBrowser }) => {
  desk.forgetPassphrase();
  await (await desk.bus()).accessibility(desk.env);
  await desk.keyring();
  const tree = new Tree({ ...desk.env, DISPLAY: display.name });
  const window = await Window.open(desk, display.name);

  await test.step('the sandbox is registered, and the listener is on', async () => {
    await tree.press(button('Try it with the built-in sandbox'));
    await tree.reads(region('Test'), 'Every check that ran has passed.');
    await tree.press(button('Launches'));
    await tree.reads(region('Listener'), 'Listener off');
    await tree.press({ name: 'Listen for launches' });
    await tree.reads(region('Listener'), 'Listening');
  });

  await test.step('the sandbox launches, and the browser goes through its pages', async () => {
    await tree.press(button('Sandbox'));
    await tree.press(button('Launch'));
    const address = await desk.opened();
    expect(address).toMatch(/^http:\/\/localhost:18330\/launch\?/);
    desk.secrets.add('launch', new URL(address).searchParams.get('launch'));
    const page = await systemBrowser.open(address);
    await answerPages(page, {}, 'http://localhost:18340');
    await expect(page.getByRole('heading', { level: 1 })).toContainText('Connected');
  });

  await test.step('the window has the connection, with its context', async () => {
    await tree.press(button('Launches'));
    await tree.reads({ role: 'table', name: 'Incoming launches' }, /Sent to sign in.*Connected/);
    await tree.reads(region('Connections made by launches'), /Amara .*Nwosu/);
    expect(desk.secrets.inFiles(desk.kept), 'secrets in files').toEqual([]);
    expect(desk.secrets.in(await tree.text({ role: 'document web' })), 'secrets in the tree').toEqual([]);
  });

  await window.close();
  await tree.close();
});
