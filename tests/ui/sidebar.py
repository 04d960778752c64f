"""What tests of the JupyterLab extension do again and again: open the sidebar, find a row, take pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.ui.conftest import SCREENSHOTS, Lab, set_theme, violations

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

SIDEBAR = "#sbf-sidebar"


def call_sidebar(page: Page) -> Locator:
    """Run the command that opens the sidebar."""
    page.wait_for_function("() => window.jupyterapp?.commands.hasCommand('sbf:open')", timeout=60_000)
    page.evaluate("() => jupyterapp.restored.then(() => void jupyterapp.commands.execute('sbf:open'))")
    return page.locator(SIDEBAR)


def show_sidebar(page: Page, tab: str = "Library") -> Locator:
    """Open the sidebar at a tab, and wait until the workspace is there."""
    sidebar = call_sidebar(page)
    expect(sidebar.locator(".sbf-Notebook, .sbf-Empty .sbf-Button").first).to_be_attached(timeout=60_000)
    sidebar.get_by_role("tab", name=tab).click()
    return sidebar


def open_lab(page: Page, lab: Lab, tab: str = "Library") -> Locator:
    """Open the Lab with the sidebar at a tab."""
    page.goto(f"{lab.url}lab?reset&token={lab.token}")
    expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=60_000)  # it takes the focus when it comes
    return show_sidebar(page, tab)


def row(sidebar: Locator, name: str, status: str = "ready") -> Locator:
    """Return the row of a source that has this status."""
    return sidebar.locator(f".sbf-Source.sbf-is-{status}", has_text=name)


def shot(page: Page, name: str) -> None:
    """Keep a picture of the whole page, to be looked at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"lab-{name}.png")


def in_both_themes(page: Page, name: str, selector: str = SIDEBAR) -> None:
    """Take pictures in both themes; axe-core finds nothing serious in either."""
    for theme in ("dark", "light"):
        set_theme(page, theme)
        page.wait_for_timeout(300)
        shot(page, f"{name}-{theme}")
        assert violations(page, selector) == []


def cells(page: Page) -> list[tuple[str, str]]:
    """Return kind and text of the cells of the current Jupyter notebook."""
    read = (
        "() => [...jupyterapp.shell.currentWidget.content.model.cells].map(it => [it.type, it.sharedModel.getSource()])"
    )
    return [(kind, text) for kind, text in page.evaluate(read)]
