"""The lecturer's panel: addresses as QR codes, the password, who is there, the class's answers.

Routes of its own beside Gradio's: what a class's login may not see is in no part of Gradio's page.
"""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from chexnet.labels import FINDINGS, NO_FINDING, spoken
from demo import rendering
from demo.classroom.readers import Readers
from demo.classroom.results import FEWEST, ClassResults
from demo.members import Members
from demo.refusals import FRESH
from demo.room.addresses import qr_picture
from demo.room.link import PublicLink
from demo.routes import Routes
from demo.security import LECTURER

PATH = "/lecturer"
STYLES = ("base.css", "lecturer/lecturer.css")


@dataclass
class Panel:
    """What the panel shows.

    Attributes:
        members: who has logged in.
        page: its routes, which count who has it open.
        readers: of cases.
        results: of the class.
        link: the public one; None where nobody asked for one.
        local_url: the page on this machine.
        lan_url: the page on the local network.
        public_url: the page behind a reverse proxy.
    """

    members: Members
    page: Routes
    readers: Readers
    results: ClassResults
    link: PublicLink | None = None
    local_url: str = ""
    lan_url: str | None = None
    public_url: str | None = None

    def routes(self) -> list[Route]:
        """For the server."""
        return [
            Route(PATH, self._page),
            Route(f"{PATH}/state", self._state),
            Route(PATH + "/picture/{number:int}", self._picture),
        ]

    def state(self) -> dict[str, Any]:
        """Everything that the panel shows, as plain values."""
        logins = self.members.logins
        return {
            "addresses": list(self._addresses()),
            "link": self._link(),
            "login": dict(zip(("user", "password"), logins.students, strict=True))
            if logins
            else None,
            "connected": self.page.open,
            "reading": len(self.readers),
            "fewest": FEWEST,
            "titles": {name: spoken(name) for name in FINDINGS} | {NO_FINDING: "Nothing"},
            "learning": self.results.learning(),
            "severity": self.results.severity(),
            "rows": [
                {name: value for name, value in row.items() if name != "key"}
                for row in self.results.rows()
            ],
            "file": bool(self.results.path),
            "problem": self.results.problem,
        }

    def _addresses(self) -> Any:
        link = self.link.url if self.link else None
        urls = {"Everywhere": link, "Reverse proxy": self.public_url}
        for name, url in {**urls, "Local network": self.lan_url}.items():
            if url:
                yield {"name": name, "url": url, "qr": qr_picture(url)}
        # No code: it would lead a phone to itself.
        yield {"name": "This machine", "url": self.local_url, "qr": None}

    def _link(self) -> dict[str, Any] | None:
        link = self.link
        if link is None:
            return None
        since = link.since.strftime("%H:%M:%S") if link.since else None
        return {"since": since, "problem": link.problem, "opened": link.opened}

    def _refusal(self, request: Request) -> Response | None:
        """An answer for whoever is not the lecturer, else None."""
        if self.members.logins is None:
            return None
        login = self.members.of(request.scope)
        if login and login[1] == LECTURER:
            return None
        return JSONResponse({"problem": "For the lecturer only."}, 403 if login else 401, FRESH)

    async def _page(self, request: Request) -> Response:
        """The panel without a word of its content; its script asks for that."""
        look = {"files": self.page.files.folder, "root_path": "", "styles": STYLES}
        return HTMLResponse(
            rendering.render("lecturer.html.jinja", user=LECTURER, **look), headers=FRESH
        )

    async def _state(self, request: Request) -> Response:
        return self._refusal(request) or JSONResponse(self.state(), headers=FRESH)

    async def _picture(self, request: Request) -> Response:
        """A case's picture; its place in the address is that of its row."""
        if refusal := self._refusal(request):
            return refusal
        case = self.results.case(request.path_params["number"])
        if case is None:
            return JSONResponse({"problem": "There is no such case."}, 404, FRESH)
        return Response(case.picture, media_type="image/png", headers=FRESH)
