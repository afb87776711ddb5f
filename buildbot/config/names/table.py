"""The table: module path of some era -> {name: "module:attribute" of ours}. Targets are imported when asked for.

A name whose target is not in this version is not here; `known` then tells so. A path that is also a file of ours
(buildbot.steps.source) gets these names besides its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from buildbot.config.names import steps
from buildbot.config.names.places import places

_RESULT_NAMES = ("SUCCESS", "WARNINGS", "FAILURE", "SKIPPED", "EXCEPTION", "RETRY", "CANCELLED", "Results")
RESULTS = places("buildbot.process.results", *_RESULT_NAMES)
_OLD_RESULTS = RESULTS | places("buildbot.process.results", "worst_status", "statusToString")

_BASIC = places("buildbot.schedulers.basic", "SingleBranchScheduler", "AnyBranchScheduler")
_TRY = places("buildbot.schedulers.trysched", "Try_Jobdir", "Try_Userpass")
_BAD_JOB = places("buildbot.process.outside", BadJobfile="BadInput")
_TRIGGERABLE = places("buildbot.schedulers.triggerable", "Triggerable")
_TIMED = places("buildbot.schedulers.timed", "Nightly", "NightlyTriggerable", "Periodic")
_DEPENDENT = places("buildbot.schedulers.dependent", "Dependent")
_SCHEDULERS = _BASIC | _DEPENDENT | _TIMED | _TRIGGERABLE | _TRY
_FORCED = places("buildbot.schedulers.forcesched", "ForceScheduler")
_PARAMETERS = places(
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

_FILTER = places("buildbot.changes.filter", "ChangeFilter")
_STAMP_FILTER = places("buildbot.changes.filter", "SourceStampFilter")
_OLD_BUILDS = places("buildbot.schedulers.canceller", "OldBuildCanceller")
_FAILING_BUILDSETS = places("buildbot.schedulers.canceller", "FailingBuildsetCanceller")
_FILE_SECRETS = places("buildbot.secrets.file", "SecretInAFile")
_PASS_SECRETS = places("buildbot.secrets.passwordstore", "SecretInPass")
_VAULT_SECRETS = places(
    "buildbot.secrets.vault",
    "HashiCorpVaultKvSecretProvider",
    "VaultAuthenticatorApprole",
    "VaultAuthenticatorToken",
)
_OLD_VAULT_SECRETS = places("buildbot.secrets.vault", "HashiCorpVaultSecretProvider")
_SECRET_BASE = places("buildbot.secrets.base", "SecretProviderBase")
_SECRETS = (
    _FILE_SECRETS
    | places("buildbot.secrets.environment", "SecretInEnvironment")
    | _PASS_SECRETS
    | _VAULT_SECRETS
    | _OLD_VAULT_SECRETS
    | _SECRET_BASE
)
_LOCKS = places("buildbot.process.locks", "MasterLock", "SlaveLock", "WorkerLock")
_RENDERABLES = places(
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

_SLAVE = places("buildbot.config.slave", "BuildSlave")
_WORKER = places("buildbot.config.slave", "Worker")

_AUTH = places("buildbot.config.authz", "HTPasswdAuth", "NoAuth", "UserPasswordAuth")
_OLD_AUTH = places("buildbot.config.authz", "BasicAuth", "HTPasswdAuth", AuthBase="Auth")
_MATCHERS = places(
    "buildbot.config.authz",
    "AnyControlEndpointMatcher",
    "AnyEndpointMatcher",
    "EnableSchedulerEndpointMatcher",
    "ForceBuildEndpointMatcher",
    "RebuildBuildEndpointMatcher",
    "StopBuildEndpointMatcher",
)
_ROLES = places(
    "buildbot.config.authz",
    "RolesFromDomain",
    "RolesFromEmails",
    "RolesFromGroups",
    "RolesFromOwner",
    "RolesFromUsername",
)
_AUTHZ = places("buildbot.config.authz", "Authz", "fnmatchStrMatcher", "reStrMatcher")

_WEB_STATUS = places("buildbot.config.web", "WebStatus", "Waterfall")
_MAIL = places("buildbot.status.mail", "MailNotifier")
_FORMATTERS = places("buildbot.status.mail_text", "MessageFormatter", "MessageFormatterFunction")
_GENERATORS = places("buildbot.status.mail_selection", "BuildStatusGenerator")
_PB_LISTENER = places("buildbot.status.pblistener", "PBListener")
_OBSERVERS = places(
    "buildbot.process.observers",
    "BufferLogObserver",
    "LineConsumerLogObserver",
    "LogLineObserver",
    "LogObserver",
    "OutputProgressObserver",
)
_GIT_LOGIN = places("buildbot.process.gitlogin", "GitCredentialInputRenderer", "GitCredentialOptions")
_COMMANDS = places(
    "buildbot.process.remotecommand", "RemoteCommand", "RemoteShellCommand", LoggedRemoteCommand="RemoteCommand"
)
_STEP_BASES = {
    **_OBSERVERS,
    **_COMMANDS,
    **places("buildbot.process.buildstep", "BuildStep", "BuildStepCancelled", "BuildStepFailed"),
    **places("buildbot.process.buildstep", "CommandMixin", "ShellMixin"),
    **places("buildbot.process.loggingstep", "LoggingBuildStep", "regex_log_evaluator"),
}
_CHANNELS = places("buildbot.process.logchannels", "ChunkTypes", "HEADER", "STDERR", "STDOUT")
_TEST_RESULT = places("buildbot.process.testresults", "TestResult")
_FACTORIES = places(
    "buildbot.steps.factories",
    "BasicBuildFactory",
    "BasicSVN",
    "CPAN",
    "Distutils",
    "GNUAutoconf",
    "QuickBuildFactory",
    "Trial",
)
_CHOSEN = places("buildbot.process.userviews", "enforceChosenSlave", "enforceChosenWorker")
_UTIL = places(
    "buildbot.config.util",
    "ComparableMixin",
    "asyncSleep",
    "bytes2unicode",
    "datetime2epoch",
    "deferredLocked",
    "epoch2datetime",
    "flatten",
    "formatInterval",
    "naturalSort",
    "now",
    "unicode2bytes",
)
_LOGGER = places("twisted.logger", "Logger")
_BUILD_REQUEST = places("buildbot.process.buildrequest", "BuildRequest")

TABLE: Mapping[str, Mapping[str, str]] = {
    "buildbot.buildrequest": _BUILD_REQUEST,
    "buildbot.buildslave": _SLAVE,
    "buildbot.buildslave.base": _SLAVE,
    "buildbot.configurators.janitor": places("buildbot.config.retention", "JanitorConfigurator"),
    "buildbot.interfaces": places("buildbot.process.rendering", "IProperties", "IRenderable")
    | places("buildbot.process.factory", "IBuildStepFactory")
    | places("buildbot.status.mail", "IEmailLookup")
    | places(
        "buildbot.process.logchannels",
        LOG_CHANNEL_HEADER="HEADER",
        LOG_CHANNEL_STDERR="STDERR",
        LOG_CHANNEL_STDOUT="STDOUT",
    )
    | places("buildbot.process.slaveport", BuildSlaveTooOldError="SlaveTooOld", WorkerTooOldError="SlaveTooOld"),
    "buildbot.locks": _LOCKS | places("buildbot.process.locks", "LockAccess"),
    "buildbot.plugins": {},
    "buildbot.plugins.buildslave": _SLAVE,
    "buildbot.plugins.changes": places("buildbot.changes.pb", "PBChangeSource")
    | places("buildbot.changes.gitpoller", "GitPoller"),
    "buildbot.plugins.reporters": _MAIL | _FORMATTERS | _GENERATORS,
    "buildbot.plugins.schedulers": _SCHEDULERS | _FORCED,
    "buildbot.plugins.secrets": _SECRETS,
    "buildbot.plugins.status": _MAIL | _PB_LISTENER | places("buildbot.config.web", "WebStatus"),
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
        **places("buildbot.config.authz", "BasicAuth"),
        **places("buildbot.config.builder", "BuilderConfig"),
        **places("buildbot.config.retention", "JanitorConfigurator", "Keep"),
        **places("buildbot.process.factory", "BuildFactory"),
        **_FACTORIES,
        **places("buildbot.process.observers", "LogLineObserver"),
        **_CHOSEN,
        **_GIT_LOGIN,
        **places("buildbot.steps.shell", "ShellArg"),
    },
    "buildbot.plugins.webhooks": {},
    "buildbot.plugins.worker": _WORKER,
    "buildbot.plugins.www": {},
    "buildbot.process.base": places("buildbot.process.build", "Build") | _BUILD_REQUEST,
    "buildbot.process.build": _OLD_RESULTS,
    "buildbot.process.builder": _CHOSEN | places("buildbot.process.userviews", Builder="BuilderView"),
    "buildbot.process.buildrequest": _BUILD_REQUEST,
    "buildbot.process.buildstep": _STEP_BASES
    | RESULTS,
    "buildbot.process.factory": _FACTORIES,
    "buildbot.process.log": places("buildbot.process.steplog", Log="StepLog", StreamLog="StepLog"),
    "buildbot.process.logobserver": _OBSERVERS,
    "buildbot.process.remotecommand": _COMMANDS,
    "buildbot.process.workerforbuilder": places("buildbot.process.userviews", AbstractWorkerForBuilder="SlaveView"),
    "buildbot.process.process_twisted": places(
        "buildbot.steps.factories",
        "FullTwistedBuildFactory",
        "QuickTwistedBuildFactory",
        "TwistedBaseFactory",
        "TwistedDebsBuildFactory",
        "TwistedReactorsBuildFactory",
        "TwistedTrial",
    ),
    "buildbot.reporters": {},
    "buildbot.reporters.generators.build": _GENERATORS,
    "buildbot.reporters.mail": _MAIL | places("buildbot.status.mail", "Domain"),
    "buildbot.reporters.message": _FORMATTERS,
    "buildbot.scheduler": _SCHEDULERS
    | places("buildbot.schedulers.base", "BaseScheduler")
    | places("buildbot.schedulers.basic", Scheduler="SingleBranchScheduler")
    | places("buildbot.schedulers.trysched", "TryBase")
    | _BAD_JOB,
    "buildbot.schedulers.basic": _BASIC
    | _DEPENDENT
    | places("buildbot.schedulers.basic", Scheduler="SingleBranchScheduler"),
    "buildbot.schedulers.canceller": _OLD_BUILDS,
    "buildbot.schedulers.canceller_buildset": _FAILING_BUILDSETS,
    "buildbot.schedulers.filter": _FILTER,
    "buildbot.schedulers.forcesched": {"config": "buildbot.config"},
    "buildbot.schedulers.trysched": _BAD_JOB,
    "buildbot.secrets.providers.base": _SECRET_BASE,
    "buildbot.secrets.providers.file": _FILE_SECRETS,
    "buildbot.secrets.providers.passwordstore": _PASS_SECRETS,
    "buildbot.secrets.providers.vault": _OLD_VAULT_SECRETS,
    "buildbot.secrets.providers.vault_hvac": _VAULT_SECRETS,
    "buildbot.sourcestamp": places("buildbot.process.sourcestamp", "SourceStamp"),
    "buildbot.status.builder": {
        **_OLD_RESULTS,
        **_CHANNELS,
        **_TEST_RESULT,
        **places("buildbot.status.build_status", "BuilderStatus", "BuildStatus", BuildStepStatus="StepStatus"),
    },
    "buildbot.status.client": _PB_LISTENER,
    "buildbot.status.html": _WEB_STATUS,
    "buildbot.status.logfile": _CHANNELS,
    "buildbot.status.results": _OLD_RESULTS,
    "buildbot.status.testresult": _TEST_RESULT,
    "buildbot.status.web.auth": _OLD_AUTH,
    "buildbot.status.web.authz": places("buildbot.config.authz", Authz="ActionAuthz"),
    "buildbot.status.web.baseweb": _WEB_STATUS,
    "buildbot.util": _UTIL | places("buildbot.changes.filter", "NotABranch"),
    "buildbot.util.logger": _LOGGER,
    "buildbot.util.misc": places("buildbot.config.util", "deferredLocked"),
    "buildbot.util.git_credential": _GIT_LOGIN,
    "buildbot.util.ssfilter": _STAMP_FILTER,
    "buildbot.worker": _WORKER,
    "buildbot.worker.base": _WORKER,
    "buildbot.www": {},
    "buildbot.www.auth": _AUTH,
    "buildbot.www.authz": _AUTHZ,
    "buildbot.www.authz.authz": _AUTHZ,
    "buildbot.www.authz.endpointmatchers": _MATCHERS,
    "buildbot.www.authz.roles": _ROLES,
    **steps.PATHS,
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
    *steps.OURS,
)

# module path -> the entry point group in which other packages register more names for it
PLUGIN_GROUPS: Mapping[str, str] = {
    f"buildbot.plugins.{group}": f"buildbot.{group}"
    for group in (
        "buildslave",
        "changes",
        "reporters",
        "schedulers",
        "secrets",
        "status",
        "steps",
        "util",
        "webhooks",
        "worker",
        "www",
    )
}
