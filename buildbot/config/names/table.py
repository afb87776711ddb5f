"""The table: module path of some era -> {name: "module:attribute" of ours}. Targets are imported when asked for.

A name whose target is not in this version is not here; `known` then tells so. A path that is also a file of ours
(buildbot.steps.source) gets these names besides its own.
"""

from __future__ import annotations

from collections.abc import Mapping


def _from(module: str, *names: str, **renamed: str) -> dict[str, str]:
    """{name: "module:name"}, and {name: "module:other"} for keywords."""
    found = {name: f"{module}:{name}" for name in names}
    found.update({name: f"{module}:{real}" for name, real in renamed.items()})
    return found


_RESULT_NAMES = ("SUCCESS", "WARNINGS", "FAILURE", "SKIPPED", "EXCEPTION", "RETRY", "CANCELLED", "Results")
RESULTS = _from("buildbot.process.results", *_RESULT_NAMES)
_OLD_RESULTS = RESULTS | _from("buildbot.process.results", "worst_status", "statusToString")

_BASIC = _from("buildbot.schedulers.basic", "SingleBranchScheduler", "AnyBranchScheduler")
_TRY = _from("buildbot.schedulers.trysched", "Try_Jobdir", "Try_Userpass")
_TRIGGERABLE = _from("buildbot.schedulers.triggerable", "Triggerable")
_TIMED = _from("buildbot.schedulers.timed", "Nightly", "NightlyTriggerable", "Periodic")
_DEPENDENT = _from("buildbot.schedulers.dependent", "Dependent")
_SCHEDULERS = _BASIC | _DEPENDENT | _TIMED | _TRIGGERABLE | _TRY
_FORCED = _from("buildbot.schedulers.forcesched", "ForceScheduler")
_PARAMETERS = _from(
    "buildbot.schedulers.forcesched",
    "AnyPropertyParameter",
    "BaseParameter",
    "BooleanParameter",
    "BuildslaveChoiceParameter",
    "ChoiceStringParameter",
    "CodebaseParameter",
    "FileParameter",
    "FixedParameter",
    "InheritBuildParameter",
    "IntParameter",
    "NestedParameter",
    "ParameterGroup",
    "PatchParameter",
    "StringParameter",
    "TextParameter",
    "UserNameParameter",
    "WorkerChoiceParameter",
)

_FILTER = _from("buildbot.changes.filter", "ChangeFilter")
_STAMP_FILTER = _from("buildbot.changes.filter", "SourceStampFilter")
_OLD_BUILDS = _from("buildbot.schedulers.canceller", "OldBuildCanceller")
_FAILING_BUILDSETS = _from("buildbot.schedulers.canceller", "FailingBuildsetCanceller")
_FILE_SECRETS = _from("buildbot.secrets.file", "SecretInAFile")
_PASS_SECRETS = _from("buildbot.secrets.passwordstore", "SecretInPass")
_VAULT_SECRETS = _from(
    "buildbot.secrets.vault",
    "HashiCorpVaultKvSecretProvider",
    "VaultAuthenticatorApprole",
    "VaultAuthenticatorToken",
)
_OLD_VAULT_SECRETS = _from("buildbot.secrets.vault", "HashiCorpVaultSecretProvider")
_SECRET_BASE = _from("buildbot.secrets.base", "SecretProviderBase")
_SECRETS = (
    _FILE_SECRETS
    | _from("buildbot.secrets.environment", "SecretInEnvironment")
    | _PASS_SECRETS
    | _VAULT_SECRETS
    | _OLD_VAULT_SECRETS
    | _SECRET_BASE
)
_LOCKS = _from("buildbot.process.locks", "MasterLock", "SlaveLock", "WorkerLock")
_RENDERABLES = _from(
    "buildbot.process.properties",
    "FlattenList",
    "Interpolate",
    "Property",
    "Secret",
    "Transform",
    "URLForBuild",
    "WithProperties",
    "renderer",
)

_SHELL = _from(
    "buildbot.steps.shell",
    "Compile",
    "Configure",
    "SetPropertyFromCommand",
    "ShellCommand",
    "ShellSequence",
    "Test",
    "WarningCountingShellCommand",
)
_TRIGGER = _from("buildbot.steps.trigger", "Trigger")
_GIT = _from("buildbot.steps.source.git", "Git")

_SLAVE = _from("buildbot.config.slave", "BuildSlave")
_WORKER = _from("buildbot.config.slave", "Worker")

_AUTH = _from("buildbot.config.authz", "HTPasswdAuth", "NoAuth", "UserPasswordAuth")
_OLD_AUTH = _from("buildbot.config.authz", "BasicAuth", "HTPasswdAuth", AuthBase="Auth")
_MATCHERS = _from(
    "buildbot.config.authz",
    "AnyControlEndpointMatcher",
    "AnyEndpointMatcher",
    "EnableSchedulerEndpointMatcher",
    "ForceBuildEndpointMatcher",
    "RebuildBuildEndpointMatcher",
    "StopBuildEndpointMatcher",
)
_ROLES = _from(
    "buildbot.config.authz",
    "RolesFromDomain",
    "RolesFromEmails",
    "RolesFromGroups",
    "RolesFromOwner",
    "RolesFromUsername",
)
_AUTHZ = _from("buildbot.config.authz", "Authz", "fnmatchStrMatcher", "reStrMatcher")

_WEB_STATUS = _from("buildbot.config.web", "WebStatus", "Waterfall")
_MAIL = _from("buildbot.status.mail", "MailNotifier")
_FORMATTERS = _from("buildbot.status.mail_text", "MessageFormatter", "MessageFormatterFunction")
_GENERATORS = _from("buildbot.status.mail_selection", "BuildStatusGenerator")
_PB_LISTENER = _from("buildbot.status.pblistener", "PBListener")
_OBSERVERS = _from(
    "buildbot.process.observers",
    "BufferLogObserver",
    "LineConsumerLogObserver",
    "LogLineObserver",
    "LogObserver",
    "OutputProgressObserver",
)
_CHOSEN = _from("buildbot.process.userviews", "enforceChosenSlave", "enforceChosenWorker")
_UTIL = _from("buildbot.config.util", "ComparableMixin", "formatInterval", "now")

TABLE: Mapping[str, Mapping[str, str]] = {
    "buildbot.buildslave": _SLAVE,
    "buildbot.buildslave.base": _SLAVE,
    "buildbot.configurators.janitor": _from("buildbot.config.retention", "JanitorConfigurator"),
    "buildbot.interfaces": _from("buildbot.process.rendering", "IProperties", "IRenderable"),
    "buildbot.locks": _LOCKS | _from("buildbot.process.locks", "LockAccess"),
    "buildbot.plugins": {},
    "buildbot.plugins.buildslave": _SLAVE,
    "buildbot.plugins.changes": _from("buildbot.changes.pb", "PBChangeSource")
    | _from("buildbot.changes.gitpoller", "GitPoller"),
    "buildbot.plugins.reporters": _MAIL | _FORMATTERS | _GENERATORS,
    "buildbot.plugins.schedulers": _SCHEDULERS | _FORCED,
    "buildbot.plugins.secrets": _SECRETS,
    "buildbot.plugins.status": _MAIL | _PB_LISTENER | _from("buildbot.config.web", "WebStatus"),
    "buildbot.plugins.steps": _SHELL | _GIT | _TRIGGER | _from("buildbot.process.buildstep", "BuildStep"),
    "buildbot.plugins.util": {
        **RESULTS,
        **_PARAMETERS,
        **_FILTER,
        **_STAMP_FILTER,
        **_OLD_BUILDS,
        **_FAILING_BUILDSETS,
        **_LOCKS,
        **_RENDERABLES,
        **_AUTH,
        **_AUTHZ,
        **_MATCHERS,
        **_ROLES,
        **_from("buildbot.config.authz", "BasicAuth"),
        **_from("buildbot.config.builder", "BuilderConfig"),
        **_from("buildbot.config.retention", "JanitorConfigurator", "Keep"),
        **_from("buildbot.process.factory", "BuildFactory"),
        **_from("buildbot.process.observers", "LogLineObserver"),
        **_CHOSEN,
        **_from("buildbot.steps.shell", "ShellArg"),
    },
    "buildbot.plugins.worker": _WORKER,
    "buildbot.process.base": _from("buildbot.process.build", "Build"),
    "buildbot.process.builder": _CHOSEN,
    "buildbot.process.buildrequest": _from("buildbot.process.buildrequest", "BuildRequest"),
    "buildbot.process.buildstep": _OBSERVERS
    | _from("buildbot.process.remotecommand", "RemoteCommand", "RemoteShellCommand")
    | RESULTS,
    "buildbot.process.logobserver": _OBSERVERS,
    "buildbot.process.step": _SHELL,
    "buildbot.reporters": {},
    "buildbot.reporters.generators.build": _GENERATORS,
    "buildbot.reporters.mail": _MAIL | _from("buildbot.status.mail", "Domain"),
    "buildbot.reporters.message": _FORMATTERS,
    "buildbot.scheduler": _SCHEDULERS | _from("buildbot.schedulers.basic", Scheduler="SingleBranchScheduler"),
    "buildbot.schedulers.basic": _BASIC | _from("buildbot.schedulers.basic", Scheduler="SingleBranchScheduler"),
    "buildbot.schedulers.canceller": _OLD_BUILDS,
    "buildbot.schedulers.canceller_buildset": _FAILING_BUILDSETS,
    "buildbot.schedulers.filter": _FILTER,
    "buildbot.secrets.providers.base": _SECRET_BASE,
    "buildbot.secrets.providers.file": _FILE_SECRETS,
    "buildbot.secrets.providers.passwordstore": _PASS_SECRETS,
    "buildbot.secrets.providers.vault": _OLD_VAULT_SECRETS,
    "buildbot.secrets.providers.vault_hvac": _VAULT_SECRETS,
    "buildbot.sourcestamp": _from("buildbot.process.sourcestamp", "SourceStamp"),
    "buildbot.status.builder": _OLD_RESULTS,
    "buildbot.status.client": _PB_LISTENER,
    "buildbot.status.html": _WEB_STATUS,
    "buildbot.status.results": _OLD_RESULTS,
    "buildbot.status.web.auth": _OLD_AUTH,
    "buildbot.status.web.authz": _from("buildbot.config.authz", Authz="ActionAuthz"),
    "buildbot.status.web.baseweb": _WEB_STATUS,
    "buildbot.steps.shell": _from("buildbot.steps.shell", SetProperty="SetPropertyFromCommand")
    | _from("buildbot.process.properties", "WithProperties"),
    "buildbot.steps.shellsequence": _from("buildbot.steps.shell", "ShellArg", "ShellSequence"),
    "buildbot.steps.source": _GIT,
    "buildbot.steps.source.oldsource": _GIT,
    "buildbot.util": _UTIL | _from("buildbot.changes.filter", "NotABranch"),
    "buildbot.util.ssfilter": _STAMP_FILTER,
    "buildbot.worker": _WORKER,
    "buildbot.worker.base": _WORKER,
    "buildbot.www": {},
    "buildbot.www.auth": _AUTH,
    "buildbot.www.authz": _AUTHZ,
    "buildbot.www.authz.authz": _AUTHZ,
    "buildbot.www.authz.endpointmatchers": _MATCHERS,
    "buildbot.www.authz.roles": _ROLES,
}

# files of ours that users import from: a wrong name there is answered with the nearest right one, too
OWN_MODULES = (
    "buildbot.changes.filter",
    "buildbot.changes.gitpoller",
    "buildbot.changes.pb",
    "buildbot.config",
    "buildbot.process.factory",
    "buildbot.process.properties",
    "buildbot.process.remotecommand",
    "buildbot.process.results",
    "buildbot.schedulers.dependent",
    "buildbot.schedulers.forcesched",
    "buildbot.schedulers.timed",
    "buildbot.schedulers.triggerable",
    "buildbot.schedulers.trysched",
    "buildbot.status.mail",
    "buildbot.steps.source.git",
    "buildbot.steps.trigger",
)

# module path -> the entry point group in which other packages register more names for it
PLUGIN_GROUPS: Mapping[str, str] = {
    f"buildbot.plugins.{group}": f"buildbot.{group}"
    for group in ("buildslave", "changes", "reporters", "schedulers", "secrets", "status", "steps", "util", "worker")
}
