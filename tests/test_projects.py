"""Tests of `tokentail.projects`: what projects are called, which ones a name means, and which repository a worktree belongs to."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentail.projects import Projects, main_folder, matches, slug_of

FOLDERS = {"-home-dev-app": "/home/dev/app", "-srv-app": "/srv/app", "-home-dev-web": "/home/dev/web", "-gone": ""}


def test_a_project_is_shown_by_the_end_of_its_folder() -> None:
    """With as much before it as tells it from the others; without a folder it is its slug."""
    projects = Projects(FOLDERS)
    assert {slug: projects.name(slug) for slug in FOLDERS} == {
        "-home-dev-app": "dev/app",
        "-srv-app": "srv/app",
        "-home-dev-web": "web",
        "-gone": "-gone",
    }


def test_a_folder_of_windows_has_a_last_part_too() -> None:
    """Logs may come from another machine."""
    assert Projects({"C--src-app": "C:\\src\\app\\"}).name("C--src-app") == "app"


def test_an_alias_is_shown_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """By slug, by folder, or by a folder under `~`; the slug's is the nearer one."""
    monkeypatch.setenv("HOME", "/home/dev")
    projects = Projects(FOLDERS, {"-srv-app": "Server", "/srv/app": "no", "~/web": "Site", "-gone": "Old"})
    assert [projects.name(slug) for slug in ("-srv-app", "-home-dev-web", "-gone")] == ["Server", "Site", "Old"]


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.text("ab-", min_size=1, max_size=4), st.lists(st.sampled_from("abc"), max_size=4).map("/".join), max_size=6))
def test_folders_that_differ_are_shown_apart(folders: dict[str, str]) -> None:
    """No two projects of different folders have one name, and each name is the end of its folder."""
    projects = Projects(folders)
    named = {slug: projects.name(slug) for slug, folder in folders.items() if folder}
    assert all(f"/{folders[slug]}".endswith(f"/{name}") for slug, name in named.items())
    for slug, name in named.items():
        assert {folders[other] for other, its in named.items() if its == name} == {folders[slug]}


@pytest.mark.parametrize(
    ("asked", "slugs"),
    [
        ("-srv-app", {"-srv-app"}),
        ("srv/app", {"-srv-app"}),
        ("APP", {"-home-dev-app", "-srv-app"}),
        ("/home/dev/*", {"-home-dev-app", "-home-dev-web"}),
        ("ap", set()),
        ("w?b", {"-home-dev-web"}),
        ("[", set()),
    ],
)
def test_which_projects_a_name_means(asked: str, slugs: set[str]) -> None:
    """A slug, a shown name, a folder or its last part: whole or with wildcards, whatever the case, never in part."""
    assert Projects(FOLDERS).matching([asked]) == slugs


def test_names_are_compared_without_their_case() -> None:
    """Also where a character has several small forms."""
    assert matches(["Straße"], "STRASSE")


# Worktrees


def git(*words: str, at: Path) -> None:
    user = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
    subprocess.run(["git", *user, *words], cwd=at, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a commit."""
    main = tmp_path / "src" / "app"
    (main / "docs").mkdir(parents=True)
    git("init", "--quiet", at=main)
    (main / "docs" / "a.txt").write_text("a")
    git("add", ".", at=main)
    git("commit", "--quiet", "--message", "a", at=main)
    return main


def test_a_worktree_belongs_to_its_repository(repository: Path) -> None:
    """Wherever it stands; a folder inside it to the same folder of the main checkout."""
    other = repository.parent / "app-fix"
    git("worktree", "add", "--quiet", str(other), at=repository)
    assert main_folder(str(other)) == str(repository)
    assert main_folder(str(other / "docs")) == str(repository / "docs")
    folders = {slug_of(str(folder)): str(folder) for folder in (repository, other)}
    assert {Projects(folders).repository(slug) for slug in folders} == {slug_of(str(repository))}


def test_what_is_no_worktree_stands_for_itself(repository: Path, tmp_path: Path) -> None:
    """A main checkout, a folder inside it, one outside any repository, one that is gone, and a submodule."""
    submodule = tmp_path / "sub"
    submodule.mkdir()
    (submodule / ".git").write_text("gitdir: ../.git/modules/sub\n")
    for folder in (repository, repository / "docs", tmp_path, tmp_path / "gone", submodule):
        assert main_folder(str(folder)) == str(folder)
    assert Projects({"-gone": ""}).repository("-gone") == "-gone"


def test_worktrees_that_claude_code_made_are_known_by_their_place() -> None:
    """They are told by their path, so also when they are gone."""
    assert main_folder("/nowhere/app/.claude/worktrees/quick-fox") == "/nowhere/app"
    assert main_folder("/nowhere/app/.claude/worktrees/quick-fox/docs") == "/nowhere/app/docs"


def test_a_folder_that_nobody_could_have_made_is_no_worktree() -> None:
    """A name from a log may hold anything."""
    assert main_folder("/a\x00b") == "/a\x00b"
