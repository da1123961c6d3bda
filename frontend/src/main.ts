import './app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { appearance } from './lib/appearance.svelte';

appearance.apply();
mount(App, { target: document.getElementById('app')! });
